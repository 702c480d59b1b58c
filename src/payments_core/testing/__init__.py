"""Contract suites: what every adapter of a port must pass. They need pytest, with pytest-asyncio in its auto mode."""

from payments_core.testing.books import BooksContract
from payments_core.testing.cache import CacheContract, CacheUnderTest
from payments_core.testing.claims import ClaimsContract
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.gateway import GatewayContract, GatewayUnderTest
from payments_core.testing.leftovers import LeftoversContract
from payments_core.testing.limits import RateLimitsContract, RateLimitsUnderTest
from payments_core.testing.notifier import NotifierContract, NotifierUnderTest
from payments_core.testing.oversight import OversightContract
from payments_core.testing.overview import OverviewContract
from payments_core.testing.passwords import PasswordsContract
from payments_core.testing.store import Store, StoreContract
from payments_core.testing.tokens import AccessTokensContract
from payments_core.testing.verified import Tampering, VerifiedStore
from payments_core.testing.views import ViewsContract

__all__ = [
    "AccessTokensContract",
    "BooksContract",
    "CacheContract",
    "CacheUnderTest",
    "ClaimsContract",
    "CredentialsContract",
    "GatewayContract",
    "GatewayUnderTest",
    "LeftoversContract",
    "NotifierContract",
    "NotifierUnderTest",
    "OversightContract",
    "OverviewContract",
    "PasswordsContract",
    "RateLimitsContract",
    "RateLimitsUnderTest",
    "Store",
    "StoreContract",
    "Tampering",
    "VerifiedStore",
    "ViewsContract",
]
