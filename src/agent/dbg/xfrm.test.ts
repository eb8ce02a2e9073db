import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EspList } from './esp-socket.ts';
import { dumpXfrm, type FlushOptions, flush } from './xfrm.ts';

const LIST: EspList = {
  states: [
    {
      dir: 'out',
      src: '10.0.0.1',
      dst: '10.0.1.1',
      spi: 3,
      reqid: 1,
      label: 'b run-b ipsec/3/x',
      aead: { name: 'gcm', key: 'aa' },
    },
    {
      dir: 'in',
      src: '10.0.1.1',
      dst: '10.0.0.1',
      spi: 3,
      reqid: 1,
      label: 'b run-b ipsec/3/x',
      aead: { name: 'gcm', key: 'bb' },
    },
    {
      dir: 'out',
      src: '10.0.0.1',
      dst: '10.0.2.1',
      spi: 4,
      reqid: 1,
      label: 'c run-c ipsec/4/x',
      auth: { name: 'hmac', key: 'cc' },
      enc: { name: 'cbc', key: 'dd' },
    },
  ],
  policies: [
    { dst: '10.0.1.0/24', src: '10.0.0.1', to: '10.0.1.1', spi: 3 },
    { dst: '10.0.2.0/24', src: '10.0.0.1', to: '10.0.2.1', spi: 4 },
  ],
};

async function run(options: FlushOptions, answer = 'n') {
  const ordered: string[] = [];
  let printed = '';
  let asked = '';
  await flush(
    async lines => {
      if (lines[0] !== 'list') ordered.push(...lines);
      return LIST;
    },
    options,
    {
      print: text => (printed += text),
      question: async text => {
        asked += text;
        return answer;
      },
      peers: async () => new Map([['b', 'run-b']]),
    },
  );
  return { ordered, printed, asked };
}

test('without a filter it asks, and does nothing for anything but yes', async () => {
  const refused = await run({}, '');
  assert.match(refused.asked, /^Flushing all XFRM states and policies can lead to transient .*\[y\/N\] $/);
  assert.deepEqual([refused.ordered, refused.printed], [[], '']);
  const agreed = await run({}, 'y');
  assert.deepEqual(agreed.ordered, ['policy flush', 'state flush']);
  assert.equal(agreed.printed, 'All XFRM states and policies have been deleted.\n');
  assert.equal((await run({ force: true })).asked, '');
});

test('by key id and by node it takes what matches, policies first', async () => {
  const expected = [
    'policy delete dst 10.0.1.0/24',
    'state delete src 10.0.0.1 dst 10.0.1.1 spi 3 dir out',
    'state delete src 10.0.1.1 dst 10.0.0.1 spi 3 dir in',
  ];
  for (const options of [{ spi: 3 }, { node: 'b' }]) {
    const { ordered, printed, asked } = await run(options);
    assert.deepEqual([ordered, asked], [expected, '']);
    assert.equal(printed, 'Deleted 2 XFRM states.\nDeleted 1 XFRM policies.\n');
  }
});

test('stale are those of peers and runs that are gone', async () => {
  const { ordered } = await run({ stale: true });
  assert.deepEqual(ordered, [
    'policy delete dst 10.0.2.0/24',
    'state delete src 10.0.0.1 dst 10.0.2.1 spi 4 dir out',
  ]);
});

test('what makes no sense is refused with a sentence', async () => {
  await assert.rejects(run({ spi: 16 }), /Given SPI is too big/);
  await assert.rejects(run({ stale: true, spi: 3 }), /--stale cannot be used together/);
  await assert.rejects(run({ node: '0xcb93' }), /write the name of the node/);
});

test('the dump has the fields and the words of Cilium', async () => {
  const dump = await dumpXfrm(async lines => {
    assert.deepEqual(lines, ['list keys']);
    return LIST;
  });
  assert.deepEqual(dump[0], {
    ...{ encrypt: true, src: '10.0.0.1', dst: '10.0.1.1', spi: 3, reqid: 1 },
    ...{ auth_alg: '', auth_key: '', crypt_alg: '', crypt_key: '', aead_alg: 'gcm', aead_key: 'aa' },
  });
  assert.deepEqual([dump[1]!['encrypt'], dump[2]!['auth_key'], dump[2]!['crypt_key']], [false, 'cc', 'dd']);
});
