export { createProtobufEncoder, type ProtobufEncoder } from "./encode.ts";
