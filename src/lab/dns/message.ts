/**
 * DNS messages (RFC 1035 section 4), with EDNS (RFC 6891) as far as a server of small answers needs it.
 * Names are text without the final dot; bytes that are not plain stand as `\.`, `\\` or `\DDD` (RFC 4343).
 */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  ANY: 255,
} as const;
export const CLASS_IN = 1;
export const RCODE = {
  ok: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;
export type Rcode = number;

export interface Question {
  name: string;
  type: number;
  class: number;
}

/** What a record says, by type; `raw` is for types that this codec only carries. */
export type RecordData =
  | { kind: 'address'; bytes: Uint8Array }
  | { kind: 'name'; name: string }
  | { kind: 'srv'; priority: number; weight: number; port: number; target: string }
  | {
      kind: 'soa';
      primary: string;
      mailbox: string;
      numbers: readonly [number, number, number, number, number];
    }
  | { kind: 'raw'; bytes: Uint8Array };

export interface ResourceRecord {
  name: string;
  type: number;
  class: number;
  /** Seconds. */
  ttl: number;
  data: RecordData;
}

export interface Message {
  id: number;
  response: boolean;
  opcode: number;
  authoritative: boolean;
  truncated: boolean;
  recursionDesired: boolean;
  recursionAvailable: boolean;
  rcode: Rcode;
  questions: Question[];
  answers: ResourceRecord[];
  authorities: ResourceRecord[];
  additionals: ResourceRecord[];
}

/** A datagram or frame that is not a DNS message. */
export class MessageError extends Error {}

const HEADER = 12;
const MAX_NAME = 255;
const MAX_LABEL = 63;

/** @throws MessageError on anything that RFC 1035 does not allow, never reads past the end, never loops. */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new Reader(bytes);
  const id = reader.u16();
  const flags = reader.u16();
  const [questions, answers, authorities, additionals] = [
    reader.u16(),
    reader.u16(),
    reader.u16(),
    reader.u16(),
  ];
  return {
    id,
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    recursionDesired: (flags & 0x0100) !== 0,
    recursionAvailable: (flags & 0x0080) !== 0,
    rcode: flags & 15,
    questions: times(questions, () => ({ name: reader.name(), type: reader.u16(), class: reader.u16() })),
    answers: times(answers, () => readRecord(reader)),
    authorities: times(authorities, () => readRecord(reader)),
    additionals: times(additionals, () => readRecord(reader)),
  };
}

/** The id of a message whose header alone may be sound, to answer "format error". */
export function messageId(bytes: Uint8Array): number | undefined {
  return bytes.length >= HEADER ? (bytes[0]! << 8) | bytes[1]! : undefined;
}

export function encodeMessage(message: Message): Uint8Array {
  const writer = new Writer();
  writer.u16(message.id);
  writer.u16(
    (message.response ? 0x8000 : 0) |
      (message.opcode << 11) |
      (message.authoritative ? 0x0400 : 0) |
      (message.truncated ? 0x0200 : 0) |
      (message.recursionDesired ? 0x0100 : 0) |
      (message.recursionAvailable ? 0x0080 : 0) |
      message.rcode,
  );
  const sections = [message.answers, message.authorities, message.additionals];
  writer.u16(message.questions.length);
  for (const section of sections) writer.u16(section.length);
  for (const question of message.questions) {
    writer.name(question.name);
    writer.u16(question.type);
    writer.u16(question.class);
  }
  for (const section of sections) for (const record of section) writeRecord(writer, record);
  return writer.bytes();
}

/** The message in at most `limit` bytes: additionals go first, then answers with the truncated bit (RFC 2181 section 9). */
export function encodeWithin(message: Message, limit: number): Uint8Array {
  const whole = encodeMessage(message);
  if (whole.length <= limit) return whole;
  const options = message.additionals.filter(record => record.type === TYPE.OPT);
  const lean = encodeMessage({ ...message, additionals: options });
  if (lean.length <= limit) return lean;
  return encodeMessage({ ...message, truncated: true, answers: [], authorities: [], additionals: options });
}

/** Bytes that the asker takes by UDP: 512, or what its OPT record says, at most 1232 (no fragments). */
export function datagramLimit(query: Message): number {
  const option = query.additionals.find(record => record.type === TYPE.OPT);
  return option === undefined ? 512 : Math.min(Math.max(option.class, 512), 1232);
}

/** The OPT record that an answer carries when the question had one. */
export function optionsFor(query: Message): ResourceRecord[] {
  const asked = query.additionals.some(record => record.type === TYPE.OPT);
  const none: RecordData = { kind: 'raw', bytes: new Uint8Array() };
  return asked ? [{ name: '', type: TYPE.OPT, class: 1232, ttl: 0, data: none }] : [];
}

function readRecord(reader: Reader): ResourceRecord {
  const name = reader.name();
  const [type, class_, ttl, length] = [reader.u16(), reader.u16(), reader.u32(), reader.u16()];
  const end = reader.offset + length;
  if (end > reader.source.length) throw new MessageError('a record is longer than the message');
  const data = readData(reader, type, length);
  if (reader.offset !== end) throw new MessageError('the data of a record and its length differ');
  return { name, type, class: class_, ttl, data };
}

function readData(reader: Reader, type: number, length: number): RecordData {
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA:
      if (length !== (type === TYPE.A ? 4 : 16))
        throw new MessageError('an address record of the wrong length');
      return { kind: 'address', bytes: reader.take(length) };
    case TYPE.NS:
    case TYPE.CNAME:
    case TYPE.PTR:
      return { kind: 'name', name: reader.name() };
    case TYPE.SRV:
      return {
        kind: 'srv',
        priority: reader.u16(),
        weight: reader.u16(),
        port: reader.u16(),
        target: reader.name(),
      };
    case TYPE.SOA: {
      const primary = reader.name();
      const mailbox = reader.name();
      const numbers = [reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      return { kind: 'soa', primary, mailbox, numbers };
    }
    default:
      return { kind: 'raw', bytes: reader.take(length) };
  }
}

function writeRecord(writer: Writer, record: ResourceRecord): void {
  writer.name(record.name);
  writer.u16(record.type);
  writer.u16(record.class);
  writer.u32(record.ttl);
  writer.withLength(() => {
    const data = record.data;
    switch (data.kind) {
      case 'address':
      case 'raw':
        return writer.put(data.bytes);
      case 'name':
        return writer.name(data.name);
      case 'srv':
        for (const number of [data.priority, data.weight, data.port]) writer.u16(number);
        return writer.name(data.target, false);
      case 'soa':
        writer.name(data.primary);
        writer.name(data.mailbox);
        for (const number of data.numbers) writer.u32(number);
    }
  });
}

class Reader {
  readonly source: Uint8Array;
  offset = 0;

  constructor(source: Uint8Array) {
    this.source = source;
  }

  take(length: number): Uint8Array {
    if (this.offset + length > this.source.length) throw new MessageError('the message ends too early');
    const part = this.source.slice(this.offset, this.offset + length);
    this.offset += length;
    return part;
  }

  u16(): number {
    const part = this.take(2);
    return (part[0]! << 8) | part[1]!;
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16();
  }

  name(): string {
    const labels: string[] = [];
    let octets = 1;
    let at = this.offset;
    let floor = at;
    let jumped = false;
    for (;;) {
      const length = this.source[at];
      if (length === undefined) throw new MessageError('a name ends too early');
      if (length >= 0xc0) {
        const low = this.source[at + 1];
        if (low === undefined) throw new MessageError('a name ends too early');
        const target = ((length & 0x3f) << 8) | low;
        if (target >= floor) throw new MessageError('a compressed name points forward');
        if (!jumped) this.offset = at + 2;
        jumped = true;
        at = floor = target;
        continue;
      }
      if (length > MAX_LABEL) throw new MessageError('a label of an unknown kind');
      if (length === 0) break;
      const label = this.source.subarray(at + 1, at + 1 + length);
      if (label.length < length) throw new MessageError('a name ends too early');
      octets += length + 1;
      if (octets > MAX_NAME) throw new MessageError('a name of more than 255 octets');
      labels.push(labelText(label));
      at += length + 1;
    }
    if (!jumped) this.offset = at + 1;
    return labels.join('.');
  }
}

class Writer {
  #buffer = new Uint8Array(512);
  #length = 0;
  readonly #suffixes = new Map<string, number>();

  put(part: Uint8Array): void {
    this.#reserve(part.length);
    this.#buffer.set(part, this.#length);
    this.#length += part.length;
  }

  u16(value: number): void {
    this.put(Uint8Array.of((value >> 8) & 255, value & 255));
  }

  u32(value: number): void {
    this.u16(Math.floor(value / 0x10000));
    this.u16(value % 0x10000);
  }

  name(name: string, compress = true): void {
    let labels = splitName(name);
    while (labels.length > 0) {
      const suffix = labels.join('.');
      const known = this.#suffixes.get(suffix);
      if (compress && known !== undefined) {
        this.u16(0xc000 | known);
        return;
      }
      if (this.#length < 0x4000 && known === undefined) this.#suffixes.set(suffix, this.#length);
      const label = labelBytes(labels[0]!);
      this.put(Uint8Array.of(label.length));
      this.put(label);
      labels = labels.slice(1);
    }
    this.put(Uint8Array.of(0));
  }

  withLength(write: () => void): void {
    const at = this.#length;
    this.u16(0);
    write();
    const length = this.#length - at - 2;
    this.#buffer[at] = length >> 8;
    this.#buffer[at + 1] = length & 255;
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + more));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

/** The labels of a name as text; escapes stay as they are. */
export function splitName(name: string): string[] {
  const plain = name.endsWith('.') && !name.endsWith('\\.') ? name.slice(0, -1) : name;
  return plain === '' ? [] : (plain.match(/(?:\\\d{3}|\\.|[^.\\])+/gs) ?? []);
}

function labelText(label: Uint8Array): string {
  let text = '';
  for (const byte of label) {
    if (byte === 0x2e || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

function labelBytes(label: string): Uint8Array {
  const bytes: number[] = [];
  for (const part of label.match(/\\\d{3}|\\.|[^\\]/gs) ?? []) {
    if (/^\\\d{3}$/.test(part)) bytes.push(Number(part.slice(1)) & 255);
    else bytes.push(part.charCodeAt(part.length - 1) & 255);
  }
  if (bytes.length === 0 || bytes.length > MAX_LABEL)
    throw new MessageError(`"${label}" is no label of a name`);
  return Uint8Array.from(bytes);
}

function times<T>(count: number, make: () => T): T[] {
  const made: T[] = [];
  for (let index = 0; index < count; index++) made.push(make());
  return made;
}
