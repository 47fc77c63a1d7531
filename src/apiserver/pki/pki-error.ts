/** The folder holds something that is no authority, or no key of tokens. Nothing was overwritten. */
export class PkiError extends Error {
  readonly code: "CORRUPT";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PkiError";
    this.code = "CORRUPT";
  }
}
