// Check the signature of a webhook (Standard Webhooks 1.0.0). Node 18 or later, no packages.
//
// With Express, for one, which must not parse the body of this route:
//
//   app.post("/webhooks", express.raw({ type: "*/*" }), (request, response) => {
//     try {
//       const eventId = verify(process.env.WEBHOOK_SECRET, request.headers, request.body);
//       // An event may come more than once: if you know eventId already, answer 204 and do nothing.
//       const event = JSON.parse(request.body);
//       response.status(204).end();
//     } catch (error) {
//       if (!(error instanceof InvalidSignature)) throw error;
//       response.status(400).end();
//     }
//   });

import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_SECONDS = 300;
const SECRET_BYTES_MIN = 24;
const SIGNATURES_MAX = 16;

/** Not what we signed, or too old. Answer 400, and believe nothing of it. */
export class InvalidSignature extends Error {}

/**
 * Return the event's id, or throw InvalidSignature.
 *
 * `secret` is the endpoint's, `whsec_…`. `headers` are Node's `request.headers`, or fetch's `Headers`. `body` is the
 * raw body, a Buffer or Uint8Array, byte for byte as it came: not parsed, not written again. `now` is a Unix time in
 * seconds; leave it out but in tests.
 */
export function verify(secret, headers, body, now = Date.now() / 1000) {
  if (!(body instanceof Uint8Array)) throw new InvalidSignature("the body must be the raw bytes, not what was parsed");
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
  const [id, timestamp, signatures] = names.map((name) => header(headers, name));
  if (!/^[0-9]{1,12}$/.test(timestamp)) throw new InvalidSignature("the timestamp is not a number of seconds");
  if (!(Math.abs(now - Number(timestamp)) <= TOLERANCE_SECONDS)) {
    throw new InvalidSignature("the timestamp is too far from now");
  }
  const hmac = createHmac("sha256", key(secret)).update(`${id}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
  // While a secret is being rotated there is a signature by each. All are compared, each in constant time.
  let matches = false;
  for (const text of signatures.split(" ").slice(0, SIGNATURES_MAX)) {
    const given = Buffer.from(text);
    if (given.length === expected.length && timingSafeEqual(given, expected)) matches = true;
  }
  if (!matches) throw new InvalidSignature("no signature matches");
  return id;
}

function header(headers, wanted) {
  const all = typeof headers.entries === "function" ? [...headers.entries()] : Object.entries(headers);
  const found = all.filter(([name]) => name.toLowerCase() === wanted);
  const text = found.length === 1 ? found[0][1] : undefined;
  if (typeof text !== "string" || !/^[\x00-\x7f]+$/.test(text)) {
    throw new InvalidSignature(`the header ${wanted} is not there once, in ASCII`);
  }
  return text;
}

function key(secret) {
  const encoded = typeof secret === "string" && secret.startsWith("whsec_") ? secret.slice("whsec_".length) : "";
  const bytes = Buffer.from(encoded, "base64");
  // Buffer.from passes over what is not base64; written again it must be what was given.
  if (bytes.length < SECRET_BYTES_MIN || bytes.toString("base64") !== encoded) {
    throw new InvalidSignature("the secret is not `whsec_` and base64 of at least 24 bytes");
  }
  return bytes;
}
