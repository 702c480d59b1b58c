"""The ISO 4217 table: which codes exist, and how many decimals each has.

Sources: the code lists of the ISO 4217 maintenance agency (SIX), lists one and three, up to amendment 180:
XAD is new since May 2025 (179), XCG follows ANG (176), ZWG follows ZWL (177), CUC went in 2021 (178), and
BGN went when Bulgaria joined the euro on 2026-01-01 (180).

A code counts as money where list one gives it a minor unit; so funds such as CLF or USN do, gold and XXX
don't. List three gives no minor units. The withdrawn codes have those of Java's ``java.util.Currency``, and 2
where it has none: codes that went before there was anything to pay with over the network.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


def _by_code(codes_by_exponent: Mapping[int, str]) -> Mapping[str, int]:
    return MappingProxyType({code: exponent for exponent, codes in codes_by_exponent.items() for code in codes.split()})


ACTIVE_MONEY: Final[Mapping[str, int]] = _by_code(
    {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        2: """
            AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
            CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
            GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
            LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
            PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
            SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
            ZWG
        """,
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }
)
"""Active codes of money, each with its exponent: the number of decimals, the digits of its minor unit."""

ACTIVE_NOT_MONEY: Final[frozenset[str]] = frozenset(
    ["XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"]
)
"""Active codes without a minor unit: metals, bond units, units of account, testing, no currency."""

WITHDRAWN_MONEY: Final[Mapping[str, int]] = _by_code(
    {
        0: "ADP BEF BYB BYR ESP GRD ITL LUF MGF PTE ROL TPE TRL",
        2: """
            AFA ALK ANG AOK AON AOR ARA ARP ARY ATS AYM AZM BAD BEC BEL BGJ BGK BGL BGN BOP BRB BRC BRE
            BRN BRR BUK CHC CNX CSD CSJ CSK CUC CYP DDM DEM ECS ECV EEK EQE ESA ESB FIM FRF GEK GHC GHP
            GNE GNS GQE GWE GWP HRD HRK IEP ILP ILR ISJ LAJ LSM LTL LTT LUC LUL LVL LVR MAF MLF MRO MTL
            MTP MVQ MXP MZE MZM NIC NLG PEH PEI PES PLZ RHD ROK RUR SDD SDP SIT SKK SLL SRG STD SUR TJR
            TMM UAK UGS UGW USS UYN UYP VEB VEF VNC XEU YDD YUD YUM YUN ZAL ZMK ZRN ZRZ ZWC ZWD ZWL ZWN
            ZWR
        """,
    }
)
"""Withdrawn codes of money with their exponents: what was paid in them stays readable and refundable.

XFO, XFU and XRE, withdrawn units of account without a minor unit, are left out.
"""
