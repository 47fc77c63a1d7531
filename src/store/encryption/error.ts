/** Values can not be encrypted or decrypted. The message names the file, key or object and holds nothing secret. */
export class EncryptionError extends Error {
  readonly code: "BAD_CONFIGURATION" | "PERMISSIONS" | "KEY_MISSING" | "DAMAGED";

  constructor(code: EncryptionError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EncryptionError";
    this.code = code;
  }
}
