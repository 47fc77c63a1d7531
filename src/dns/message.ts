import * as dnsPacket from "dns-packet";

/** A resource record that this server makes. */
export type DnsRecord = Exclude<dnsPacket.Answer, dnsPacket.OptAnswer>;

/** RFC 1035 section 4.1.1, RFC 6895 section 2.3. */
export const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
export type Rcode = keyof typeof rcodes;

/** What a client asked, as far as this server needs it. */
export interface Query {
  readonly id: number;
  /** The name as it was sent: upper and lower case are kept for the answer. No dot at the end. */
  readonly name: string;
  /** For example `A`; `UNKNOWN_n` for a type this program does not know. */
  readonly type: string;
  /** The question section, as it was sent. */
  readonly question: Buffer;
  readonly recursionDesired: boolean;
  /** Present when the client speaks EDNS(0), RFC 6891: how large an answer over UDP may be. */
  readonly edns?: { readonly size: number };
}

export interface Reply {
  readonly rcode: Rcode;
  readonly authoritative: boolean;
  readonly answers?: readonly DnsRecord[];
  readonly authorities?: readonly DnsRecord[];
  /** Left out when they don't fit. */
  readonly additionals?: readonly DnsRecord[];
}

/** A message that gets an error instead of an answer, or, without `reply`, nothing. */
export class MessageError extends Error {
  readonly reply: Buffer | undefined;

  constructor(message: string, reply: Buffer | undefined) {
    super(message);
    this.name = "MessageError";
    this.reply = reply;
  }
}

const headerSize = 12;
const flag = {
  response: 0x8000,
  authoritative: 0x400,
  truncated: 0x200,
  recursionDesired: 0x100,
  recursionAvailable: 0x80,
};

/** What this server takes in one datagram: fits an Ethernet frame (DNS flag day 2020). */
const largestDatagram = 1232;
const smallestDatagram = 512;

/** Reads a query. Throws MessageError for what is none, or none that this server can answer. */
export function decodeQuery(bytes: Buffer): Query {
  if (bytes.byteLength < headerSize) throw new MessageError("too short", undefined);
  const id = bytes.readUInt16BE(0);
  const flags = bytes.readUInt16BE(2);
  if (flags & flag.response) throw new MessageError("not a query", undefined);
  const recursionDesired = (flags & flag.recursionDesired) !== 0;
  const refuse = (rcode: Rcode, why: string): MessageError => {
    const head = Buffer.alloc(headerSize);
    head.writeUInt16BE(id, 0);
    head.writeUInt16BE(flag.response | (flags & 0x7900) | rcodes[rcode], 2);
    return new MessageError(why, head);
  };
  if ((flags >> 11) & 0xf) throw refuse("NOTIMP", "not a standard query");
  if (bytes.readUInt16BE(4) !== 1) throw refuse("FORMERR", "not exactly one question");
  const packet = unlessMalformed(() => dnsPacket.decode(bytes));
  const asked = packet?.questions?.[0];
  const end = endOfQuestion(bytes);
  if (!packet || !asked || !end) throw refuse("FORMERR", "malformed");
  const question = bytes.subarray(headerSize, end);
  const name = asked.name === "." ? "" : asked.name;
  const opt = packet.additionals?.find((record) => record.type === "OPT");
  const edns = opt ? { edns: { size: opt.udpPayloadSize } } : {};
  const query: Query = { id, name, type: asked.type, question, recursionDesired, ...edns };
  if (opt && opt.ednsVersion > 0) throw errorTo(query, "BADVERS", "a later version of EDNS");
  if (asked.class !== "IN") throw errorTo(query, "REFUSED", "not of class IN");
  if (asked.type === "AXFR" || asked.type === "IXFR") throw errorTo(query, "REFUSED", "zone transfers are not served");
  return query;
}

function errorTo(query: Query, rcode: Rcode, why: string): MessageError {
  return new MessageError(why, encodeReply(query, { rcode, authoritative: false }, "tcp"));
}

function unlessMalformed<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

/** Where the question ends. The first name of a message has nothing before it that it could point to. */
function endOfQuestion(bytes: Buffer): number | undefined {
  for (let at = headerSize; at < bytes.byteLength;) {
    const length = bytes.readUInt8(at);
    if (length === 0) return at + 5 <= bytes.byteLength ? at + 5 : undefined;
    if (length > 63) return undefined;
    at += length + 1;
  }
  return undefined;
}

/** The answer's bytes. Over UDP as many answers as fit, and the TC flag when some don't: the client then asks over TCP. */
export function encodeReply(query: Query, reply: Reply, transport: "udp" | "tcp"): Buffer {
  const size = Math.min(Math.max(query.edns?.size ?? smallestDatagram, smallestDatagram), largestDatagram);
  const limit = transport === "tcp" ? 65_535 : size;
  const opt = query.edns ? optRecord(reply.rcode) : Buffer.alloc(0);
  let room = limit - headerSize - query.question.byteLength - opt.byteLength;
  const take = (records: readonly DnsRecord[] = []): { bytes: Buffer[]; all: boolean } => {
    const bytes: Buffer[] = [];
    for (const record of records) {
      const encoded = encodeRecord(record, query.name);
      if (encoded.byteLength > room) return { bytes, all: false };
      room -= encoded.byteLength;
      bytes.push(encoded);
    }
    return { bytes, all: true };
  };
  const answers = take(reply.answers);
  const authorities = take(answers.all ? reply.authorities : []);
  const additionals = take(answers.all && authorities.all ? reply.additionals : []);
  const truncated = !answers.all || !authorities.all;

  const head = Buffer.alloc(headerSize);
  head.writeUInt16BE(query.id, 0);
  const flags =
    flag.response |
    flag.recursionAvailable |
    (query.recursionDesired ? flag.recursionDesired : 0) |
    (reply.authoritative ? flag.authoritative : 0) |
    (truncated ? flag.truncated : 0);
  head.writeUInt16BE(flags | (rcodes[reply.rcode] & 0xf), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.bytes.length, 6);
  head.writeUInt16BE(authorities.bytes.length, 8);
  head.writeUInt16BE(additionals.bytes.length + (query.edns ? 1 : 0), 10);
  return Buffer.concat([head, query.question, ...answers.bytes, ...authorities.bytes, ...additionals.bytes, opt]);
}

/** A pointer to the question's name, which begins after the header (RFC 1035 section 4.1.4). */
const questionPointer = Buffer.from([0xc0, headerSize]);

function encodeRecord(record: DnsRecord, questionName: string): Buffer {
  if (record.name !== questionName) return dnsPacket.encode({ answers: [record] }).subarray(headerSize);
  const withoutName = dnsPacket.encode({ answers: [{ ...record, name: "." }] }).subarray(headerSize + 1);
  return Buffer.concat([questionPointer, withoutName]);
}

function optRecord(rcode: Rcode): Buffer {
  const opt = {
    type: "OPT",
    name: ".",
    udpPayloadSize: largestDatagram,
    extendedRcode: rcodes[rcode] >> 4,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } as const;
  return dnsPacket.encode({ additionals: [{ ...opt, options: [] }] }).subarray(headerSize);
}

/** A query of our own. */
export function encodeQuery(id: number, name: string, type: string): Buffer {
  const question = { name, type: type as dnsPacket.RecordType, class: "IN" } as const;
  return dnsPacket.encode({ type: "query", id, flags: dnsPacket.RECURSION_DESIRED, questions: [question] });
}

/** What another server responded. */
export interface Response {
  readonly rcode: Rcode;
  /** Not all answers fitted. */
  readonly truncated: boolean;
  readonly answers: readonly DnsRecord[];
}

/** Reads a response; undefined when it cannot be read. */
export function decodeResponse(bytes: Buffer): Response | undefined {
  const packet = unlessMalformed(() => dnsPacket.decode(bytes));
  if (!packet) return undefined;
  const code = bytes.readUInt16BE(2) & 0xf;
  const rcode = (Object.keys(rcodes) as Rcode[]).find((name) => rcodes[name] === code) ?? "SERVFAIL";
  const answers = (packet.answers ?? []).filter((record) => record.type !== "OPT");
  return { rcode, truncated: packet.flag_tc, answers };
}
