import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exitStatus, frame, parseMessage } from './channels.ts';

test('messages of v5.channel.k8s.io', () => {
  assert.deepEqual(parseMessage(Buffer.from([0, 104, 105])), { kind: 'stdin', data: Buffer.from('hi') });
  assert.deepEqual(parseMessage(Buffer.from([255, 0])), { kind: 'stdinClosed' });
  assert.deepEqual(parseMessage(frame(4, '{"Width":80,"Height":24}\n')), {
    kind: 'resize',
    columns: 80,
    rows: 24,
  });
  assert.deepEqual(parseMessage(frame(4, '{"Width":0,"Height":0}')), { kind: 'unknown' });
  assert.deepEqual(parseMessage(frame(4, 'x')), { kind: 'unknown' });
});

test('no message of a client can break the parser', () => {
  fc.assert(
    fc.property(fc.uint8Array(), bytes => {
      assert.ok(parseMessage(Buffer.from(bytes)).kind);
    }),
  );
});

test('the exit code stands where kubectl looks for it', () => {
  assert.deepEqual(exitStatus(0), { metadata: {}, status: 'Success' });
  assert.match(JSON.stringify(exitStatus(3)), /"causes":\[\{"reason":"ExitCode","message":"3"\}\]/);
});
