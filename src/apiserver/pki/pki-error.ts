/** The folder holds something that is no authority, or no key of tokens. Nothing was overwritten. */
export class PkiError extends Error {
  override readonly name = "PkiError";
  readonly code = "CORRUPT";
}
