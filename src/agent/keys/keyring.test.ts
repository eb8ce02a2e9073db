import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { type Epoch, ipsecEpoch } from '../../model/epochs/epoch.ts';
import { Keyring } from './keyring.ts';

const NAME = 'kube-system/cilium-ipsec-keys';
const NOTHING = { open: [], advertised: [] };
const hex = (byte: string) => `a1${byte.repeat(19)}`;
const line = (id: string, byte: string) => `${id} rfc4106(gcm(aes)) ${hex(byte)} 128`;

test('a good Secret is taken, its last key to seal with, all of them to open', () => {
  const keyring = new Keyring();
  keyring.read(NAME, { state: 'there', text: `${line('3+', '11')}\n${line('4+', '22')}\n` });
  const { current, trouble, warnings } = keyring.settle(NOTHING);
  assert.equal(current?.id, 4);
  assert.equal(trouble, undefined);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    keyring.epochs().map(epoch => epoch.split('/')[1]),
    ['3', '4'],
  );
});

test('a missing "+" is a warning and nothing more', () => {
  const keyring = new Keyring();
  keyring.read(NAME, { state: 'there', text: line('3', '11') });
  const { current, warnings } = keyring.settle(NOTHING);
  assert.equal(current?.id, 3);
  assert.match(warnings.join(), /write 3\+/);
});

test('without a Secret the sentence says what to create', () => {
  const keyring = new Keyring();
  assert.match(keyring.settle(NOTHING).trouble ?? '', /has not been read yet/);
  keyring.read(NAME, { state: 'missing' });
  assert.match(
    keyring.settle(NOTHING).trouble ?? '',
    /cilium encryption create-key.*kubectl -n kube-system create secret/,
  );
  keyring.read(NAME, { state: 'there', text: undefined });
  assert.match(keyring.settle(NOTHING).trouble ?? '', /no value "keys"/);
});

test('what cannot be taken leaves the key in use alone, and says nothing of the key', () => {
  const bad = ['', 'nonsense', line('3+', '22'), '3+ rfc4106(gcm(aes)) beef 128', `16+ ${hex('33')}`];
  for (const text of bad) {
    const keyring = new Keyring();
    keyring.read(NAME, { state: 'there', text: line('3+', '11') });
    keyring.settle(NOTHING);
    keyring.read(NAME, { state: 'there', text });
    const state = keyring.settle(NOTHING);
    assert.equal(state.current?.id, 3);
    assert.match(state.trouble ?? '', /the Secret kube-system\/cilium-ipsec-keys/, text);
    for (const byte of ['11', '22', '33']) {
      assert.equal((state.trouble ?? '').includes(byte.repeat(4)), false);
      assert.equal(inspect(keyring, { depth: 9, showHidden: true }).includes(byte.repeat(4)), false);
    }
  }
});

test('a Secret that goes and comes back as it was is no trouble any more', () => {
  const keyring = new Keyring();
  keyring.read(NAME, { state: 'there', text: line('3+', '11') });
  keyring.settle(NOTHING);
  keyring.read(NAME, { state: 'missing' });
  const gone = keyring.settle(NOTHING);
  assert.equal(gone.current?.id, 3);
  assert.match(gone.trouble ?? '', /stay in use/);
  keyring.read(NAME, { state: 'there', text: line('3+', '11') });
  assert.equal(keyring.settle(NOTHING).trouble, undefined);
});

test('after a restart another key under an id that stands is refused all the same', () => {
  const standing: Epoch = 'ipsec/3/0123456789abcdef';
  for (const where of [
    { open: [standing], advertised: [] },
    { open: [], advertised: [standing] },
  ]) {
    const keyring = new Keyring();
    keyring.read(NAME, { state: 'there', text: line('3+', '11') });
    const { current, trouble } = keyring.settle(where);
    assert.equal(current, undefined);
    assert.match(trouble ?? '', /key 3 is in use with another key.*0123456789abcdef.*write 4\+/);
  }
});

test('a key that stands nowhere any more is forgotten, and its id free again', () => {
  const keyring = new Keyring();
  for (const [id, byte] of [
    ['3+', '11'],
    ['4+', '22'],
  ] as const) {
    keyring.read(NAME, { state: 'there', text: line(id, byte) });
    keyring.settle(NOTHING);
  }
  const { current } = keyring.settle(NOTHING);
  assert.deepEqual(keyring.epochs(), [ipsecEpoch(current!)]);
  keyring.read(NAME, { state: 'there', text: line('3+', '33') });
  assert.equal(keyring.settle(NOTHING).current?.id, 3);
});
