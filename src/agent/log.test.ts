import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from './log.ts';

test('a line is logfmt, with what needs quotes in quotes', () => {
  const lines: string[] = [];
  const log = createLog({ write: line => lines.push(line), now: () => new Date(0) });
  log.with({ subsys: 'x' }).info('a "b"\nc', { n: 1, text: 'two words', none: undefined });
  assert.deepEqual(lines, [
    'time=1970-01-01T00:00:00.000Z level=info msg="a \\"b\\"\\nc" subsys=x n=1 text="two words"\n',
  ]);
});

test('debug lines are for those who ask', () => {
  const lines: string[] = [];
  createLog({ write: line => lines.push(line) }).debug('x');
  createLog({ write: line => lines.push(line), debug: true }).debug('y');
  assert.equal(lines.length, 1);
});
