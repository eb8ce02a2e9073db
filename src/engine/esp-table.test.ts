import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseEspRequest } from './esp-request.ts';
import { EspTable } from './esp-table.ts';
import { EspRequestError } from './esp-words.ts';

let lastId = 0;
const after = (table: EspTable, ...lines: string[]) =>
  table.after(parseEspRequest(lines.join('\n')), () => ++lastId);

const key = (seed: number) => `0x${seed.toString(16).padStart(2, '0').repeat(20)}`;
const OUT = 'src 192.0.2.1 dst 192.0.2.2 spi 3 dir out';
const IN = 'src 192.0.2.2 dst 192.0.2.1 spi 3 dir in';
const add = (name: string, seed: number, rest = '') =>
  `state add ${name} aead rfc4106(gcm(aes)) ${key(seed)} 128 flag esn ${rest}`;
const POLICY = 'policy set dst 10.244.2.0/24 src 192.0.2.1 spi 3 to 192.0.2.2';

function refused(message: RegExp, line: number, table: EspTable, ...lines: string[]): void {
  assert.throws(
    () => after(table, ...lines),
    error => {
      assert.ok(error instanceof EspRequestError);
      assert.match(error.message, message);
      assert.equal(error.line, line);
      return true;
    },
  );
}

describe('the table of states and policies', () => {
  test('tells the packet loop what is new, and nothing twice', () => {
    const empty = new EspTable();
    const request = [add(OUT, 1), add(IN, 2, 'sel 10.244.2.0/24'), POLICY, 'local 10.244.1.0/24'];
    const first = after(empty, ...request);
    const change = first.changeFrom(empty);
    assert.deepEqual([change.outbound.length, change.inbound.length, change.policies.length], [1, 1, 1]);
    assert.equal(change.policies[0]!.state, change.outbound[0]!.id);
    assert.equal(change.local?.length, 20);
    const again = after(first, ...request.slice(0, 3)).changeFrom(first);
    assert.deepEqual(
      [again.removed, again.outbound, again.inbound, again.policies, again.local],
      [[], [], [], [], undefined],
    );
  });

  test('changes limits, sources and label where they stand, and nothing else', () => {
    const first = after(new EspTable(), add(OUT, 1), add(IN, 2, 'sel 10.244.2.0/24'));
    const second = after(
      first,
      add(OUT, 1, 'limit packet-hard 9 label new'),
      add(IN, 2, 'sel 10.244.3.0/24'),
    );
    const { updated, removed, outbound } = second.changeFrom(first);
    assert.deepEqual([removed, outbound, updated.length], [[], [], 2]);
    assert.equal(updated[0]!.limits.lastSequence, 9n);
    assert.deepEqual([...updated[1]!.sources.subarray(4, 7)], [10, 244, 3]);
    refused(/with another key: delete it first/, 1, first, add(OUT, 3));
    refused(/with another encap/, 1, first, add(OUT, 1, 'encap espinudp 4500 4500 0.0.0.0'));
    refused(/with another replay-window/, 1, first, add(OUT, 1, 'replay-window 1024'));
    refused(/with another flag esn/, 1, first, add(OUT, 1).replace('flag esn', ''));
    refused(/with another algorithm/, 1, first, add(OUT, 1).replace(' 128', ' 96'));
  });

  test('one key is for one state', () => {
    refused(/have the same key/, 2, new EspTable(), add(OUT, 1), add(IN, 1));
    const first = after(new EspTable(), add(OUT, 1));
    refused(/have the same key/, 2, first, 'list', add(OUT.replace('spi 3', 'spi 4'), 1));
    after(first, `state delete ${OUT}`, add(OUT.replace('spi 3', 'spi 4'), 1));
  });

  test('a policy waits for a state that is gone, and takes it up again', () => {
    const first = after(new EspTable(), add(OUT, 1), POLICY);
    const gone = after(first, `state delete ${OUT}`);
    assert.equal(gone.changeFrom(first).policies[0]!.state, 0);
    const back = after(gone, add(OUT, 1));
    const change = back.changeFrom(gone);
    assert.deepEqual(
      change.policies.map(({ state }) => state),
      [change.outbound[0]!.id],
    );
    const moved = after(first, add(OUT.replace('spi 3', 'spi 4'), 4), POLICY.replace('spi 3', 'spi 4'));
    const swap = moved.changeFrom(first);
    assert.deepEqual(
      [swap.removed, swap.policies.length, swap.policies[0]!.state],
      [[], 1, swap.outbound[0]!.id],
    );
    const flushed = after(moved, 'policy flush', 'state flush').changeFrom(moved);
    assert.deepEqual([flushed.removed.length, flushed.policies.map(({ state }) => state)], [2, [0]]);
  });

  test('what is not there is not deleted, and the table stays as it was', () => {
    const first = after(new EspTable(), add(OUT, 1));
    refused(/there is no state dir in/, 2, first, `state delete ${OUT}`, `state delete ${IN}`);
    refused(/there is no policy for 10.244.2.0\/24/, 1, first, 'policy delete dst 10.244.2.0/24');
    refused(/there is no state dir out/, 1, first, POLICY.replace('spi 3', 'spi 5'));
    refused(/there is no state/, 1, first, 'probe src 192.0.2.1 dst 192.0.2.9 spi 3');
    assert.equal(first.states.size, 1);
  });
});
