/** Requests to the ESP engine with words where they do not belong: its own error or none, and no key in it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../proto/bytes.ts';
import { runIn } from '../proto/testleaks.ts';
import { parseEspRequest } from './esp-request.ts';
import { EspRequestError } from './esp-words.ts';

const hex = (length: number) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .filter(key => new Set(key).size > 8)
    .map(toHex);

describe('requests to the ESP engine', () => {
  test('a state with any word cut, doubled, dropped or moved', () => {
    const change = fc.record({
      kind: fc.constantFrom('cut', 'double', 'drop', 'move', 'quote', 'join', 'line'),
      at: fc.nat(40),
      to: fc.nat(60),
    });
    fc.assert(
      fc.property(
        hex(20),
        hex(32),
        fc.boolean(),
        fc.array(change, { maxLength: 4 }),
        (key, other, aead, changes) => {
          const suite = aead
            ? `aead 'rfc4106(gcm(aes))' 0x${key} 128`
            : `auth-trunc hmac(sha256) 0x${other} 128 enc cbc(aes) 0x${key.slice(0, 32)}`;
          const words =
            `state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x3 reqid 1 mode tunnel dir in ${suite} flag esn label x sel 10.0.0.0/8`.split(
              ' ',
            );
          for (const { kind, at, to } of changes) {
            const i = at % words.length;
            const word = words[i]!;
            if (kind === 'cut') words[i] = word.slice(0, to);
            else if (kind === 'double') words.splice(to % words.length, 0, word);
            else if (kind === 'drop') words.splice(i, 1, '');
            else if (kind === 'move') words.splice(to % words.length, 0, ...words.splice(i, 1));
            else if (kind === 'quote') words[i] = `'${word}`;
            else if (kind === 'join') words.splice(i, 2, words.slice(i, i + 2).join(''));
            else words[i] = `\n${word}`;
          }
          try {
            parseEspRequest(words.join(' '));
          } catch (error) {
            assert.ok(error instanceof EspRequestError, String(error));
            assert.ok(error.message.length < 300 && !error.message.includes('\n'), error.message);
            assert.equal(runIn(error.message, key), undefined);
            assert.equal(runIn(error.message, other), undefined);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});
