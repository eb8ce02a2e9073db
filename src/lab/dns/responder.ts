/** From the bytes of a question to the bytes of its answer, whatever the transport. */
import type { Forwarder } from './forwarder.ts';
import { NoAnswer } from './forwarder.ts';
import {
  CLASS_IN,
  datagramLimit,
  decodeMessage,
  encodeMessage,
  encodeWithin,
  type Message,
  MessageError,
  messageId,
  optionsFor,
  RCODE,
  type ResourceRecord,
  TYPE,
} from './message.ts';
import type { Directory } from './records.ts';
import { type Answer, resolve, type ZoneOptions } from './zone.ts';

export interface ResponderOptions {
  /** Undefined as long as the cluster is not known: silence about its names would be a lie. */
  directory(): Directory | undefined;
  zone(): ZoneOptions;
  forwarder: Pick<Forwarder, 'ask'>;
}

export class Responder {
  readonly #options: ResponderOptions;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Undefined for what deserves no answer: what is too short to have an id, and what is itself an answer. */
  async respond(bytes: Uint8Array, overTcp: boolean): Promise<Uint8Array | undefined> {
    const query = decode(bytes);
    if (query === 'nothing') return undefined;
    if (query === 'malformed') return encodeMessage(failure(messageId(bytes) ?? 0, RCODE.formatError));
    if (query.response) return undefined;
    const limit = overTcp ? 0xffff : datagramLimit(query);
    const [question] = query.questions;
    const refusal = refuse(query);
    if (refusal !== undefined || question === undefined)
      return encodeWithin(reply(query, { rcode: refusal ?? RCODE.formatError }), limit);
    const directory = this.#options.directory();
    if (directory === undefined) return encodeMessage(reply(query, { rcode: RCODE.serverFailure }));
    const found = resolve(directory, question, this.#options.zone());
    if (found === undefined) return await this.#forward(query, bytes, overTcp);
    const answers =
      found.chase === undefined ? found.answers : await this.#chase(directory, query, found, overTcp);
    const options = optionsFor(query);
    const additionals = [...found.additionals, ...options];
    return encodeWithin({ ...reply(query, { ...found, answers, additionals }), authoritative: true }, limit);
  }

  async #forward(query: Message, bytes: Uint8Array, overTcp: boolean): Promise<Uint8Array> {
    try {
      return await this.#options.forwarder.ask(bytes, query, overTcp);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return encodeMessage(reply(query, { rcode: RCODE.serverFailure }));
    }
  }

  /** The addresses of the name that an ExternalName stands for, when they can be had. */
  async #chase(
    directory: Directory,
    query: Message,
    found: Answer,
    overTcp: boolean,
  ): Promise<ResourceRecord[]> {
    const [question] = query.questions;
    if (question === undefined || found.chase === undefined) return found.answers;
    const asked: Message = { ...query, questions: [{ ...question, name: found.chase }] };
    const inside = resolve(directory, asked.questions[0]!, this.#options.zone());
    if (inside !== undefined) return [...found.answers, ...inside.answers];
    try {
      const answer = await this.#options.forwarder.ask(encodeMessage(asked), asked, overTcp);
      const more = decodeMessage(answer).answers.filter(each =>
        [question.type, TYPE.CNAME].includes(each.type),
      );
      return [...found.answers, ...more];
    } catch (error) {
      if (!(error instanceof NoAnswer || error instanceof MessageError)) throw error;
      return found.answers;
    }
  }
}

function decode(bytes: Uint8Array): Message | 'malformed' | 'nothing' {
  if (messageId(bytes) === undefined) return 'nothing';
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    // An answer that cannot be read is not answered either: two servers would go on for ever.
    return (bytes[2]! & 0x80) !== 0 ? 'nothing' : 'malformed';
  }
}

function refuse(query: Message): number | undefined {
  if (query.opcode !== 0) return RCODE.notImplemented;
  if (query.questions.length !== 1) return RCODE.formatError;
  return query.questions[0]!.class === CLASS_IN ? undefined : RCODE.refused;
}

function reply(query: Message, answer: { rcode: number } & Partial<Answer>): Message {
  return {
    ...query,
    response: true,
    authoritative: false,
    truncated: false,
    recursionAvailable: true,
    rcode: answer.rcode,
    answers: answer.answers ?? [],
    authorities: answer.authorities ?? [],
    additionals: answer.additionals ?? optionsFor(query),
  };
}

function failure(id: number, rcode: number): Message {
  const flags = { authoritative: false, truncated: false, recursionDesired: false, recursionAvailable: true };
  const sections = { questions: [], answers: [], authorities: [], additionals: [] };
  return { id, response: true, opcode: 0, ...flags, rcode, ...sections };
}
