import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatEndpoint, parseEndpoint } from './endpoint.ts';

test('text and endpoint carry each other', () => {
  for (const text of [
    '192.0.2.1:51820',
    '[2001:db8::1]:1',
    '[fe80::1%eth0]:65535',
    '192.0.2.1:0',
    '[::ffff:192.0.2.1]:7',
  ]) {
    assert.equal(formatEndpoint(parseEndpoint(text)!), text);
  }
  assert.deepEqual(parseEndpoint('[2001:DB8:0::1]:9'), { address: '2001:db8::1', port: 9 });
});

test('refuses names, missing ports and brackets', () => {
  const texts = [
    '',
    'host:1',
    '192.0.2.1',
    '192.0.2.1:',
    '192.0.2.1:65536',
    '[192.0.2.1]:1',
    '2001:db8::1:1',
  ];
  for (const text of [
    ...texts,
    '[::1]',
    '[]:1',
    '[::1%]:1',
    '[::1%a b]:1',
    '::1:1',
    '192.0.2.1%eth0:1',
    '192.0.2.1:1 ',
  ]) {
    assert.equal(parseEndpoint(text), undefined, text);
  }
});
