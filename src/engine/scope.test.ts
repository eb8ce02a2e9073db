import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withNumberedScope } from './scope.ts';

test('a scope is told by the number of its interface, and left out when there is none', () => {
  assert.equal(withNumberedScope('fe80::1%lo'), 'fe80::1%1');
  assert.equal(withNumberedScope('fe80::1%7'), 'fe80::1%7');
  assert.equal(withNumberedScope('fe80::1%nowhere'), 'fe80::1');
  assert.equal(withNumberedScope('fe80::1'), 'fe80::1');
  assert.equal(withNumberedScope('192.0.2.1'), '192.0.2.1');
});
