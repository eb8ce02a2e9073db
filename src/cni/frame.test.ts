import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRequest, encodeAnswer, frameSize } from './frame.ts';

test('environment and configuration come out of the frame', () => {
  const body = 'CNI_COMMAND=ADD\0CNI_ARGS=a=b;c=d\0\0{"name":"cilium"}';
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  const request = decodeRequest(Buffer.concat([head, Buffer.from(body)]))!;
  assert.deepEqual(
    [...request.environment],
    [
      ['CNI_COMMAND', 'ADD'],
      ['CNI_ARGS', 'a=b;c=d'],
    ],
  );
  assert.equal(request.stdin, '{"name":"cilium"}');
});

test('garbage is a malformed frame, never an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      frameSize(bytes);
      decodeRequest(bytes);
    }),
  );
  assert.equal(decodeRequest(Buffer.from('....CNI_COMMAND')), undefined);
  assert.equal(decodeRequest(Buffer.from('....=x\0\0')), undefined);
  assert.equal(frameSize(Buffer.from('123')), undefined);
});

test('the answer carries the exit status and the text', () => {
  const frame = encodeAnswer(1, 'äb');
  assert.equal(frameSize(frame), frame.length);
  assert.deepEqual([...frame], [0, 0, 0, 4, 1, 0xc3, 0xa4, 0x62]);
});
