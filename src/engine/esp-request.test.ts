import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatAddress } from '../proto/ip/address.ts';
import { formatCidr } from '../proto/ip/cidr.ts';
import { parseEspRequest, type StateSpec } from './esp-request.ts';
import { EspRequestError } from './esp-words.ts';

const KEY = '00112233445566778899aabbccddeeff01020304';
const NAME = 'src 192.0.2.1 dst 192.0.2.2';
const AEAD = `aead 'rfc4106(gcm(aes))' 0x${KEY} 128`;
const ADD = `state add ${NAME} proto esp spi 0x3 reqid 1 mode tunnel dir out ${AEAD}`;

function stateOf(line: string): StateSpec {
  const [command] = parseEspRequest(line);
  assert.equal(command?.verb, 'state add');
  return (command as { state: StateSpec }).state;
}

function refusal(request: string): EspRequestError {
  try {
    parseEspRequest(request);
  } catch (error) {
    assert.ok(error instanceof EspRequestError, String(error));
    return error;
  }
  return assert.fail(`taken: ${request}`);
}

describe('requests', () => {
  test('every word of a state', () => {
    const out = stateOf(
      `${ADD} replay-window 2048 flag esn replay-oseq 7 replay-oseq-hi 2 label 'node-2 1b4e28ba ipsec/3' ` +
        'limit packet-soft 10 packet-hard 0x14 limit byte-hard 4096 encap espinudp 4500 4501 0.0.0.0',
    );
    assert.deepEqual(
      { ...out, keys: Buffer.from(out.keys.cipher).toString('hex'), suite: out.suite.cipher },
      {
        direction: 'out',
        source: out.source,
        destination: out.destination,
        spi: 3,
        reqid: 1,
        suite: 'rfc4106(gcm(aes))',
        keys: KEY,
        esn: true,
        window: 2048,
        after: (2n << 32n) + 7n,
        limits: { packetSoft: 10n, packetHard: 20n, byteHard: 4096n },
        encapsulation: { sourcePort: 4500, destinationPort: 4501 },
        label: 'node-2 1b4e28ba ipsec/3',
        selectors: [],
      },
    );
    assert.deepEqual([out.source, out.destination].map(formatAddress), ['192.0.2.1', '192.0.2.2']);
    const inbound = stateOf(
      'state add dir in spi 15 src fd00::1 dst fd00::2 sel 10.244.1.7/24 sel fd09::/64 ' +
        `auth-trunc hmac(sha256) 0x${'ab'.repeat(32)} 128 enc cbc(aes) 0x${'cd'.repeat(16)}`,
    );
    assert.deepEqual(inbound.selectors.map(formatCidr), ['10.244.1.0/24', 'fd09::/64']);
    assert.equal(inbound.suite.integrity, 'hmac(sha256)');
    assert.deepEqual([inbound.esn, inbound.window, inbound.after], [false, 4096, 0n]);
  });

  test('every command, one to a line', () => {
    const commands = parseEspRequest(
      [
        `state delete ${NAME} spi 3 dir in`,
        'state flush',
        'policy set dst 10.244.2.0/24 src 192.0.2.1 spi 0x3 to 192.0.2.2',
        'policy delete dst 10.244.2.0/24',
        'policy flush',
        'local 10.244.1.0/24 fd01::/64',
        'local',
        `probe ${NAME} spi 3`,
        '  list keys ',
        'list',
        '',
      ].join('\n'),
    );
    assert.deepEqual(
      commands.map(({ line, verb }) => [line, verb]),
      [
        [1, 'state delete'],
        [2, 'state flush'],
        [3, 'policy set'],
        [4, 'policy delete'],
        [5, 'policy flush'],
        [6, 'local'],
        [7, 'local'],
        [8, 'probe'],
        [9, 'list'],
        [10, 'list'],
      ],
    );
  });

  test('what is wrong is said with its line, and never with a key', () => {
    const wrong: [string, RegExp][] = [
      ['frobnicate', /"frobnicate" is no command/],
      ['state', /the line ends where add, delete or flush/],
      ['state add', /src is missing/],
      [`state add ${NAME} spi 3 ${AEAD}`, /dir is missing/],
      [`state add ${NAME} spi 3 dir out`, /either aead, or auth-trunc and enc/],
      [ADD.replace('192.0.2.2', 'fd00::2'), /of two families/],
      [ADD.replace('192.0.2.2', '192.0.2'), /"192.0.2" is no IP address/],
      [ADD.replace('0x3', '0'), /spi 0 is reserved/],
      [ADD.replace('0x3', '0x100000000'), /no number|hex digits/],
      [ADD.replace('dir out', 'dir fwd'), /dir "fwd": in or out/],
      [ADD.replace('proto esp', 'proto ah'), /"ah" stands where esp is expected/],
      [ADD.replace('tunnel', 'transport'), /"transport" stands where tunnel/],
      [ADD.replace('rfc4106', 'rfc4107'), /aead .* is not known/],
      [ADD.replace(KEY, KEY.slice(2)), /no key of 19 bytes/],
      [ADD.replace(KEY, KEY.slice(1)), /the key of aead is not 0x and whole bytes of hex/],
      [ADD.replace(`0x${KEY}`, KEY), /the key of aead is not 0x/],
      [ADD.replace(' 128', ' 64'), /tag of 64 bits/],
      [`${ADD} ${AEAD}`, /aead is there twice/],
      [`${ADD} spi 4`, /spi is there twice/],
      [`${ADD} enc cbc(aes) 0x${KEY}`, /either aead, or/],
      [`${ADD} replay-window 512`, /replay-window is 1024 to 4096/],
      [`${ADD} replay-window 5000`, /no number from 0 to 4096/],
      [`${ADD} replay-oseq-hi 1`, /replay-oseq-hi needs flag esn/],
      [`${ADD} replay-seq 1`, /replay-seq is not of a state with dir out/],
      [`${ADD} limit packet-hard 0`, /would let nothing through/],
      [`${ADD} limit time-hard 9`, /"time-hard" is no limit/],
      [`${ADD} sel 10.0.0.0/8`, /sel is for dir in/],
      [`${ADD} sel 10.0.0.0/33`, /no range of addresses/],
      [`${ADD} encap espintcp 4500 4500 0.0.0.0`, /"espintcp" stands where espinudp/],
      [`${ADD} encap espinudp 0 4500 0.0.0.0`, /port 0 is none/],
      [`${ADD} label 'unclosed`, /a quote is not closed/],
      [`${ADD} ${KEY}`, /a word of hex digits is no word of a state/],
      ['policy set dst 10.0.0.0/8 src 192.0.2.1 spi 3', /dst is missing/],
      ['policy set 10.0.0.0/8', /stands where dst/],
      ['list everything', /"everything" is too much/],
      ['state flush now', /"now" is too much/],
    ];
    for (const [line, message] of wrong) {
      const error = refusal(`list\n${line}\nlist`);
      assert.match(error.message, message, line);
      assert.equal(error.line, 2, line);
      assert.ok(!/[0-9a-f]{12}/.test(error.message), `key material: ${error.message}`);
    }
  });

  test('no text makes it fail in another way', () => {
    const word = fc.constantFrom(
      ...`${ADD} limit packet-soft 10 flag esn policy set to probe list keys local '`.split(' '),
    );
    const line = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 30 }).map(words => words.join(' ')),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), lines => {
        try {
          parseEspRequest(lines.join('\n'));
        } catch (error) {
          assert.ok(error instanceof EspRequestError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
