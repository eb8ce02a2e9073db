/**
 * The layout of ESP (RFC 4303, section 2), tunnel mode:
 *
 *     SPI | sequence (low 32 bits) | IV | payload | padding 1,2,3… | pad length | next header | ICV
 *
 * The payload is a whole IP packet. From the payload to the next header all is sealed, and padded so that this is a
 * multiple of the cipher's block and of 4.
 */
import type { Suite } from './suite.ts';

/** SPI and the low half of the sequence number. */
export const ESP_HEADER_LENGTH = 8;
/** Pad length and next header. */
export const TRAILER_LENGTH = 2;
export const PROTOCOL_ESP = 50;

/** IANA protocol numbers of what ESP carries in tunnel mode; 59 marks a dummy packet (RFC 4303, section 2.6). */
export const NEXT_HEADER = { ipv4: 4, ipv6: 41, none: 59 } as const;
export type NextHeader = (typeof NEXT_HEADER)[keyof typeof NEXT_HEADER];

export interface EspHeader {
  readonly spi: number;
  readonly sequenceLow: number;
}

/** Undefined for what is shorter than the header. */
export function readEspHeader(packet: Uint8Array): EspHeader | undefined {
  if (packet.length < ESP_HEADER_LENGTH) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, ESP_HEADER_LENGTH);
  return { spi: view.getUint32(0), sequenceLow: view.getUint32(4) };
}

export function writeEspHeader(spi: number, sequence: bigint): Uint8Array {
  const header = new Uint8Array(ESP_HEADER_LENGTH);
  const view = new DataView(header.buffer);
  view.setUint32(0, spi);
  view.setUint32(4, Number(sequence & 0xffff_ffffn));
  return header;
}

/** What an IP packet is as a payload of ESP; undefined for what is no IP packet. */
export function nextHeaderOf(inner: Uint8Array): NextHeader | undefined {
  const version = (inner[0] ?? 0) >> 4;
  if (version === 4) return NEXT_HEADER.ipv4;
  return version === 6 ? NEXT_HEADER.ipv6 : undefined;
}

/** Bytes of padding for a payload of so many bytes: less than the alignment. */
export function paddingOf(suite: Suite, payloadLength: number): number {
  const over = (payloadLength + TRAILER_LENGTH) % suite.alignment;
  return over === 0 ? 0 : suite.alignment - over;
}

/** Payload, padding and trailer: what is sealed. */
export function withTrailer(suite: Suite, payload: Uint8Array, nextHeader: number): Uint8Array {
  const padding = paddingOf(suite, payload.length);
  const whole = new Uint8Array(payload.length + padding + TRAILER_LENGTH);
  whole.set(payload);
  for (let i = 0; i < padding; i++) whole[payload.length + i] = i + 1;
  whole[whole.length - 2] = padding;
  whole[whole.length - 1] = nextHeader;
  return whole;
}

/** What `withTrailer` made; undefined when the padding is longer than all or is not 1, 2, 3 … */
export function withoutTrailer(opened: Uint8Array): { payload: Uint8Array; nextHeader: number } | undefined {
  const padding = opened[opened.length - 2];
  const nextHeader = opened[opened.length - 1];
  if (padding === undefined || nextHeader === undefined) return undefined;
  const length = opened.length - TRAILER_LENGTH - padding;
  if (length < 0) return undefined;
  for (let i = 0; i < padding; i++) if (opened[length + i] !== i + 1) return undefined;
  return { payload: opened.subarray(0, length), nextHeader };
}

/** Bytes of the ESP packet, without the outer IP header, that carries a payload of so many bytes. */
export function sealedLength(suite: Suite, payloadLength: number): number {
  const padded = payloadLength + paddingOf(suite, payloadLength) + TRAILER_LENGTH;
  return ESP_HEADER_LENGTH + suite.ivLength + padded + suite.icvLength;
}

/** The longest payload whose ESP packet, without the outer IP header, has room in so many bytes; 0 when none has. */
export function longestPayload(suite: Suite, room: number): number {
  const sealed = room - ESP_HEADER_LENGTH - suite.ivLength - suite.icvLength;
  return Math.max(0, sealed - (sealed % suite.alignment) - TRAILER_LENGTH);
}
