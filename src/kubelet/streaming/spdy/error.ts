/** The peer broke the protocol, or reset a stream. */
export class SpdyError extends Error {
  readonly code: "PROTOCOL" | "RESET" | "CLOSED";

  constructor(code: SpdyError["code"], message: string) {
    super(message);
    this.name = "SpdyError";
    this.code = code;
  }
}
