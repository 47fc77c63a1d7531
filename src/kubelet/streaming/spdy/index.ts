export { SpdyError } from "./error.ts";
export { serveSpdy, type SpdySession, type SpdyStream } from "./session.ts";
