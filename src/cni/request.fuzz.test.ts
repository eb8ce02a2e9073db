/** What comes over the agent's CNI socket: frames, environment and configuration. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CniError } from './error.ts';
import { decodeRequest, encodeAnswer, frameSize } from './frame.ts';
import { echoVersion, parseRequest } from './request.ts';
import { parseResult } from './result.ts';
import { CNI_VERSIONS, isCniVersion } from './version.ts';

const NAMES = ['CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_ARGS', 'CNI_PATH'];

function ownError(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof CniError, String(error));
    assert.ok(error.message.length < 400, error.message);
    assert.ok(Number.isInteger(error.code) && error.code > 0);
  }
}

/** JSON of the shapes that configurations have, with anything in the places. */
const anything = fc.jsonValue({ maxDepth: 2 });
const ip = fc.oneof(
  fc.constantFrom('10.244.1.7/32', 'fd00::7/128', '10.0.0.1', 'x', '10.0.0.1/99', ''),
  anything,
);
const result = fc.oneof(
  anything,
  fc.record(
    {
      cniVersion: fc.oneof(fc.constantFrom(...CNI_VERSIONS), anything),
      interfaces: fc.oneof(
        fc.array(fc.record({ name: anything, mac: anything, sandbox: anything }, { requiredKeys: [] })),
        anything,
      ),
      ips: fc.oneof(
        fc.array(fc.record({ address: ip, gateway: ip, interface: anything }, { requiredKeys: [] })),
        anything,
      ),
      routes: fc.oneof(fc.array(fc.record({ dst: ip, gw: ip }, { requiredKeys: [] })), anything),
      dns: anything,
    },
    { requiredKeys: [] },
  ),
);
const config = fc.record(
  {
    cniVersion: fc.oneof(fc.constantFrom(...CNI_VERSIONS), anything),
    name: fc.oneof(fc.constant('cbr0'), anything),
    type: anything,
    prevResult: result,
    runtimeConfig: fc.oneof(
      fc.record(
        {
          ips: fc.oneof(fc.array(ip), anything),
          mac: fc.oneof(fc.constantFrom('02:00:00:00:00:01', '01:00:5e:00:00:01'), anything),
        },
        { requiredKeys: [] },
      ),
      anything,
    ),
    'cni.dev/valid-attachments': fc.oneof(
      fc.array(fc.record({ containerID: anything, ifname: anything }, { requiredKeys: [] })),
      anything,
    ),
  },
  { requiredKeys: [] },
);
const stdin = fc.oneof(
  config.map(value => JSON.stringify(value)),
  fc.string({ unit: 'binary', maxLength: 60 }),
  anything.map(value => JSON.stringify(value)),
);
const environment = fc
  .record(
    {
      CNI_COMMAND: fc.constantFrom(
        'ADD',
        'DEL',
        'CHECK',
        'GC',
        'STATUS',
        'VERSION',
        'add',
        '',
        '__proto__',
        'constructor',
      ),
      CNI_CONTAINERID: fc.oneof(fc.constant('abc'), fc.string({ unit: 'binary', maxLength: 12 })),
      CNI_NETNS: fc.oneof(fc.constant('/run/netns/x'), fc.string({ maxLength: 12 })),
      CNI_IFNAME: fc.oneof(fc.constant('eth0'), fc.string({ unit: 'binary', maxLength: 20 })),
      CNI_ARGS: fc.oneof(
        fc.constant('IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a'),
        fc
          .array(fc.constantFrom('K8S_POD_NAME', '=', ';', 'a', '../x', '\n', 'K8S_POD_NAMESPACE'))
          .map(parts => parts.join('')),
      ),
    },
    { requiredKeys: [] },
  )
  .map(
    values =>
      new Map(Object.entries(values).filter(([, value]) => value !== undefined) as [string, string][]),
  );

describe('the CNI socket', () => {
  test('any environment and configuration: a request, or an error of the specification', () => {
    fc.assert(
      fc.property(environment, stdin, (given, text) => {
        assert.ok(isCniVersion(echoVersion(text)));
        ownError(() => {
          const request = parseRequest(given, text);
          assert.equal(request.command, given.get('CNI_COMMAND'));
          if ('containerId' in request) assert.match(request.containerId, /^[a-zA-Z0-9][\w.-]*$/);
          if ('ifname' in request) assert.doesNotMatch(request.ifname, /[\s/:\0]/);
          if ('pod' in request) assert.match(`${request.pod.namespace}${request.pod.name}`, /^[a-z0-9.-]*$/);
        });
      }),
      { numRuns: 1500 },
    );
  });

  test('any result of an earlier plugin', () => {
    fc.assert(
      fc.property(result, value => ownError(() => parseResult(value))),
      { numRuns: 2000 },
    );
  });

  test('a frame is read as the shim writes it; any other bytes are a request or none', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 20 }).map(each => each.replaceAll('\0', ''));
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.constantFrom(...NAMES), text), { selector: ([name]) => name }),
        text,
        (pairs, config) => {
          const body = Buffer.from(
            `${pairs.map(([name, value]) => `${name}=${value}\0`).join('')}\0${config}`,
          );
          const frame = Buffer.concat([Buffer.alloc(4), body]);
          frame.writeUInt32BE(body.length);
          assert.equal(frameSize(frame), frame.length);
          assert.deepEqual(decodeRequest(frame), { environment: new Map(pairs), stdin: config });
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(5), (bytes, offset) => {
        const view = new Uint8Array([...new Uint8Array(offset), ...bytes]).subarray(offset);
        const size = frameSize(view);
        assert.equal(size === undefined, view.length < 4);
        decodeRequest(view);
      }),
      { numRuns: 2000 },
    );
  });

  test('an answer has its length, its status and its text', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.string({ unit: 'grapheme' }), (status, output) => {
        const frame = Buffer.from(encodeAnswer(status, output));
        assert.equal(frame.readUInt32BE(), frame.length - 4);
        assert.deepEqual([frame[4], frame.subarray(5).toString()], [status, output]);
      }),
    );
  });
});
