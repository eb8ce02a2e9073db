import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tabulate } from './tabwriter.ts';

test('a column is as wide as its widest cell, plus the padding', () => {
  assert.equal(
    tabulate([
      ['a:', 'x'],
      ['long label:', 'y'],
    ]),
    'a:            x\nlong label:   y\n',
  );
});

test('a line without the column ends it', () => {
  const lines = [['wide label', 'x'], ['alone'], ['b', 'y']];
  assert.equal(tabulate(lines), 'wide label   x\nalone\nb   y\n');
});

test('later columns adjoin only where earlier lines have them', () => {
  const lines = [
    ['a', '1'],
    ['b', 'wireguard', 'x'],
    ['c', '3/3 reachable', 'y'],
  ];
  assert.equal(tabulate(lines), 'a   1\nb   wireguard       x\nc   3/3 reachable   y\n');
});
