/** An SCTP packet that begins an association (RFC 9260, sections 3.1 and 3.3.2), with a right checksum: a wrong one is not tracked. */
export function sctpInit(sourcePort: number, port: number): Buffer {
  const packet = Buffer.alloc(32);
  packet.writeUInt16BE(sourcePort, 0);
  packet.writeUInt16BE(port, 2);
  // Verification tag 0, as an INIT has; then the chunk: type 1, 20 bytes.
  packet.writeUInt8(1, 12);
  packet.writeUInt16BE(20, 14);
  // Initiate tag, window, streams out and in, first TSN.
  packet.writeUInt32BE(0x0102_0304, 16);
  packet.writeUInt32BE(65_536, 20);
  packet.writeUInt16BE(1, 24);
  packet.writeUInt16BE(1, 26);
  packet.writeUInt32BE(1, 28);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

/** RFC 9260, appendix A. */
function crc32c(data: Buffer): number {
  let sum = 0xffff_ffff;
  for (const byte of data) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f6_3b78 : sum >>> 1;
  }
  return ~sum >>> 0;
}
