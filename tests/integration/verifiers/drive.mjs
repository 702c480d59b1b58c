// Give each case to the check, and print what it says: the id, or null where it is refused.
import { readFileSync } from "node:fs";
import { InvalidSignature, verify } from "./verify.mjs";

const verdict = ({ secret, headers, body, now }) => {
  try {
    return verify(secret, headers, Buffer.from(body, "base64"), now);
  } catch (error) {
    if (!(error instanceof InvalidSignature)) throw error;
    return null;
  }
};
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(verdict)));
