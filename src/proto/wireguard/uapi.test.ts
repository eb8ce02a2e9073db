import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressOf } from '../ip/address.ts';
import { type Cidr, formatCidr } from '../ip/cidr.ts';
import {
  errnoOf,
  parseRequest,
  printErrno,
  printRequest,
  type SetDevice,
  type SetPeer,
  takeRequest,
  UapiError,
} from './uapi.ts';
import { type DeviceStatus, type PeerStatus, parseStatus, printStatus } from './uapistatus.ts';

const KEY = 'ab'.repeat(32);
const codeOf = (text: string): string => {
  try {
    parseRequest(text);
    return 'none';
  } catch (error) {
    assert.ok(error instanceof UapiError);
    assert.ok(!error.message.includes(KEY.slice(0, 8)), 'no key in the message');
    return error.code;
  }
};

test('reads what wg sends', () => {
  assert.deepEqual(parseRequest('get=1\n'), { get: true });
  const request = parseRequest(
    `set=1\nprivate_key=${'0'.repeat(64)}\nlisten_port=51820\nfwmark=0\nreplace_peers=true\n` +
      `public_key=${KEY}\nremove=true\n` +
      `public_key=${KEY}\nupdate_only=true\npreshared_key=${KEY}\nendpoint=[fe80::1%eth0]:51820\n` +
      'persistent_keepalive_interval=25\nprotocol_version=1\nreplace_allowed_ips=true\n' +
      'allowed_ip=10.244.1.0/24\nallowed_ip=-fd00::/64\n',
  );
  assert.ok('set' in request);
  const { privateKey, listenPort, fwmark, replacePeers, peers } = request.set;
  assert.deepEqual([privateKey, listenPort, fwmark, replacePeers], [null, 51820, 0, true]);
  const [gone, kept] = peers as [SetPeer, SetPeer];
  assert.deepEqual(
    [gone.remove, kept.remove, kept.updateOnly, kept.replaceAllowedIps],
    [true, false, true, true],
  );
  assert.deepEqual(kept.endpoint, { address: 'fe80::1%eth0', port: 51820 });
  assert.equal(kept.persistentKeepalive, 25);
  const ranges = kept.allowedIps.map(({ range, remove }) => `${remove ? '-' : ''}${formatCidr(range)}`);
  assert.deepEqual(ranges, ['10.244.1.0/24', '-fd00::/64']);
});

test('refuses with the right errno, and no key in the sentence', () => {
  const device = (line: string) => codeOf(`set=1\n${line}\n`);
  const peer = (line: string) => codeOf(`set=1\npublic_key=${KEY}\n${line}\n`);
  for (const line of ['listen_port', '', '=1', KEY]) assert.equal(device(line), 'EPROTO', line);
  for (const line of [
    'listen_port=65536',
    'listen_port=-1',
    'listen_port=0x1',
    'listen_port=',
    'fwmark=4294967296',
  ]) {
    assert.equal(device(line), 'EINVAL', line);
  }
  for (const line of [
    `private_key=${KEY}0`,
    `private_key=${KEY.slice(2)}`,
    'private_key=',
    'replace_peers=false',
  ]) {
    assert.equal(device(line), 'EINVAL', line);
  }
  for (const line of [
    'remove=false',
    'endpoint=host:1',
    'allowed_ip=10.0.0.0/33',
    'allowed_ip=--10.0.0.0/8',
    'x=1',
  ]) {
    assert.equal(peer(line), 'EINVAL', line);
  }
  for (const line of [
    'protocol_version=2',
    'persistent_keepalive_interval=65536',
    'listen_port=1',
    `${KEY}=`,
  ]) {
    assert.equal(peer(line), 'EINVAL', line);
  }
  assert.equal(device('fwmark='), 'none');
  assert.equal(device('remove=true'), 'EINVAL');
  for (const text of ['', '\n', 'get=2', 'set=0', 'hello', ' get=1'])
    assert.equal(codeOf(text), 'EPROTO', text);
  assert.equal(codeOf('get=1\nlisten_port=1\n'), 'EINVAL');
});

test('requests come apart at empty lines, however they arrive', () => {
  const stream = `get=1\n\nset=1\nlisten_port=1\n\nget=1\n`;
  const first = takeRequest(stream)!;
  assert.equal(first.request, 'get=1\n');
  const second = takeRequest(first.rest)!;
  assert.equal(second.request, 'set=1\nlisten_port=1\n');
  assert.equal(takeRequest(second.rest), undefined);
  assert.equal(second.rest, 'get=1\n');
});

test('errno lines', () => {
  assert.equal(printErrno(), 'errno=0\n\n');
  assert.equal(printErrno(new UapiError('EINVAL', '')), 'errno=-22\n\n');
  assert.equal(errnoOf('listen_port=1\nerrno=-98\n\n'), 98);
  assert.equal(errnoOf('listen_port=1\n'), undefined);
});

const plain = { noNullPrototype: true };
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const range: fc.Arbitrary<Cidr> = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .chain(bytes => fc.nat(8 * bytes.length).map(prefix => ({ address: addressOf(bytes), prefix })));
const endpoint = fc.record(
  {
    address: fc.constantFrom('192.0.2.1', '2001:db8::1', 'fe80::1%eth0'),
    port: fc.integer({ min: 1, max: 65535 }),
  },
  plain,
);
const seconds = fc.nat(65535);
const setPeer = fc.record<SetPeer, keyof SetPeer>(
  {
    publicKey: key,
    remove: fc.boolean(),
    updateOnly: fc.boolean(),
    presharedKey: key,
    endpoint,
    persistentKeepalive: seconds,
    replaceAllowedIps: fc.boolean(),
    allowedIps: fc.array(fc.record({ range, remove: fc.boolean() }, plain), { maxLength: 4 }),
  },
  { requiredKeys: ['publicKey', 'remove', 'updateOnly', 'replaceAllowedIps', 'allowedIps'], ...plain },
) as fc.Arbitrary<SetPeer>;
const setDevice = fc.record(
  {
    privateKey: fc.oneof(
      fc.constant(null),
      key.filter(bytes => bytes.some(byte => byte !== 0)),
    ),
    listenPort: fc.nat(65535),
    fwmark: fc.nat(0xffffffff),
    replacePeers: fc.boolean(),
    peers: fc.array(setPeer, { maxLength: 4 }),
  },
  { requiredKeys: ['replacePeers', 'peers'], ...plain },
) as fc.Arbitrary<SetDevice>;

test('a printed request reads as the same request', () => {
  fc.assert(
    fc.property(setDevice, set => {
      const taken = takeRequest(printRequest({ set }))!;
      assert.equal(taken.rest, '');
      assert.deepEqual(parseRequest(taken.request), { set });
    }),
  );
  assert.equal(printRequest({ get: true }), 'get=1\n\n');
});

const peerStatus = fc.record(
  {
    publicKey: key,
    presharedKey: key.filter(bytes => bytes.some(byte => byte !== 0)),
    endpoint,
    lastHandshake: fc.record(
      { seconds: fc.integer({ min: 1, max: 2 ** 33 }), nanos: fc.nat(999_999_999) },
      plain,
    ),
    txBytes: fc.nat(),
    rxBytes: fc.nat(),
    persistentKeepalive: seconds,
    allowedIps: fc.array(range, { maxLength: 4 }),
  },
  { requiredKeys: ['publicKey', 'txBytes', 'rxBytes', 'persistentKeepalive', 'allowedIps'], ...plain },
) as fc.Arbitrary<PeerStatus>;
const status = fc.record(
  {
    privateKey: key.filter(bytes => bytes.some(byte => byte !== 0)),
    listenPort: fc.nat(65535),
    fwmark: fc.nat(0xffffffff),
    peers: fc.array(peerStatus, { maxLength: 4 }),
  },
  { requiredKeys: ['listenPort', 'fwmark', 'peers'], ...plain },
) as fc.Arbitrary<DeviceStatus>;

test('a printed status reads as the same status', () => {
  fc.assert(
    fc.property(status, device => {
      assert.deepEqual(parseStatus(printStatus(device)), device);
    }),
  );
});

test('an answer with an error, or cut short, throws it', () => {
  assert.throws(() => parseStatus('errno=-98\n\n'), { name: 'UapiError', code: 'EADDRINUSE' });
  assert.throws(() => parseStatus('errno=-1\n\n'), { name: 'UapiError', code: 'EIO' });
  assert.throws(() => parseStatus(`public_key=${KEY}\n`), { name: 'UapiError', code: 'EPROTO' });
});

test('garbage throws nothing but a UapiError', () => {
  const words = fc.constantFrom(
    'set=1\n',
    'get=1\n',
    `public_key=${KEY}\n`,
    'endpoint=',
    'allowed_ip=',
    '\n',
    '=',
    '-',
    '/',
  );
  const more = fc.constantFrom(
    '10.0.0.1',
    '[::1%x]:1',
    'true',
    'listen_port=',
    'remove=',
    '51820\n',
    'errno=0\n',
    'fwmark=',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(words, more, fc.string())).map(parts => parts.join('')),
  );
  fc.assert(
    fc.property(text, garbage => {
      for (const parse of [parseRequest, parseStatus]) {
        try {
          parse(garbage);
        } catch (error) {
          assert.ok(error instanceof UapiError);
        }
      }
    }),
    { numRuns: 3000 },
  );
});
