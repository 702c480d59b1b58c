<?php
// Check the signature of a webhook (Standard Webhooks 1.0.0). PHP 8.1 or later, no packages.
//
//   $body = file_get_contents('php://input');
//   try {
//       $eventId = verify(getenv('WEBHOOK_SECRET'), getallheaders(), $body);
//   } catch (InvalidSignature) {
//       http_response_code(400);
//       exit;
//   }
//   // An event may come more than once: if you know $eventId already, answer 204 and do nothing.
//   $event = json_decode($body, true);
//   http_response_code(204);

declare(strict_types=1);

const TOLERANCE_SECONDS = 300;
const SECRET_BYTES_MIN = 24;
const SIGNATURES_MAX = 16;

/** Not what we signed, or too old. Answer 400, and believe nothing of it. */
class InvalidSignature extends Exception
{
}

/**
 * Return the event's id, or throw InvalidSignature.
 *
 * $secret is the endpoint's, `whsec_…`. $body is the raw body, byte for byte as it came: not parsed, not written again.
 * $now is a Unix time in seconds; leave it out but in tests.
 *
 * @param array<string, string> $headers
 */
function verify(string $secret, array $headers, string $body, ?int $now = null): string
{
    $id = webhook_header($headers, 'webhook-id');
    $timestamp = webhook_header($headers, 'webhook-timestamp');
    $signatures = webhook_header($headers, 'webhook-signature');
    if (preg_match('/\A[0-9]{1,12}\z/', $timestamp) !== 1) {
        throw new InvalidSignature('the timestamp is not a number of seconds');
    }
    if (abs(($now ?? time()) - (int) $timestamp) > TOLERANCE_SECONDS) {
        throw new InvalidSignature('the timestamp is too far from now');
    }
    $mac = hash_hmac('sha256', "$id.$timestamp.$body", webhook_key($secret), true);
    $expected = 'v1,' . base64_encode($mac);
    // While a secret is being rotated there is a signature by each. All are compared, each in constant time.
    $matches = false;
    foreach (array_slice(explode(' ', $signatures), 0, SIGNATURES_MAX) as $given) {
        $matches = hash_equals($expected, $given) || $matches;
    }
    if (!$matches) {
        throw new InvalidSignature('no signature matches');
    }
    return $id;
}

/** @param array<string, string> $headers */
function webhook_header(array $headers, string $wanted): string
{
    $found = [];
    foreach ($headers as $name => $text) {
        if (strtolower((string) $name) === $wanted) {
            $found[] = $text;
        }
    }
    if (count($found) !== 1 || !is_string($found[0]) || preg_match('/\A[\x00-\x7f]+\z/', $found[0]) !== 1) {
        throw new InvalidSignature("the header $wanted is not there once, in ASCII");
    }
    return $found[0];
}

function webhook_key(string $secret): string
{
    $encoded = str_starts_with($secret, 'whsec_') ? substr($secret, strlen('whsec_')) : '';
    $key = base64_decode($encoded, true);
    if ($key === false || strlen($key) < SECRET_BYTES_MIN || base64_encode($key) !== $encoded) {
        throw new InvalidSignature('the secret is not `whsec_` and base64 of at least 24 bytes');
    }
    return $key;
}
