import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CniError } from './error.ts';
import { echoVersion, parseRequest } from './request.ts';
import { CNI_VERSIONS } from './version.ts';

const environment = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'abc-1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0',
};
const config = { cniVersion: '1.1.0', name: 'cilium', type: 'cilium-cni' };

test('ADD of every version', () => {
  for (const cniVersion of CNI_VERSIONS) {
    assert.deepEqual(parse({}, { cniVersion }), {
      command: 'ADD',
      version: cniVersion,
      containerId: 'abc-1',
      ifname: 'eth0',
      netns: '/run/netns/x',
      pod: { namespace: 'default', name: 'web-0' },
      wantedIps: [],
    });
  }
  assert.equal(parse({}, { cniVersion: undefined }).version, '0.1.0');
});

test('capabilities ask for addresses and a MAC', () => {
  const runtimeConfig = { ips: ['10.244.1.9/24', 'fd00::9'], mac: '02:00:00:00:00:AA' };
  const request = parse({}, { runtimeConfig });
  assert.ok(request.command === 'ADD');
  assert.deepEqual(request.wantedIps, ['10.244.1.9', 'fd00::9']);
  assert.equal(request.wantedMac, '02:00:00:00:00:aa');
});

test('DEL needs no namespace, GC takes the attachments that are valid', () => {
  const del = parse({ CNI_COMMAND: 'DEL', CNI_NETNS: undefined, CNI_ARGS: undefined });
  assert.deepEqual(del, { command: 'DEL', version: '1.1.0', containerId: 'abc-1', ifname: 'eth0' });
  const attachments = [{ containerID: 'a', ifname: 'eth0' }];
  const gc = parse({ CNI_COMMAND: 'GC' }, { 'cni.dev/valid-attachments': attachments });
  assert.deepEqual(gc, {
    command: 'GC',
    version: '1.1.0',
    validAttachments: [{ containerId: 'a', ifname: 'eth0' }],
  });
});

test('bad input gets its code and a sentence', () => {
  const cases: [string, number, Record<string, string | undefined>, Record<string, unknown>?][] = [
    ['unknown command', 4, { CNI_COMMAND: 'UPDATE' }],
    ['no command', 4, { CNI_COMMAND: undefined }],
    ['unknown version', 1, {}, { cniVersion: '9.9.9' }],
    ['version that is no text', 1, {}, { cniVersion: 1 }],
    ['CHECK too early', 1, { CNI_COMMAND: 'CHECK' }, { cniVersion: '0.3.1' }],
    ['STATUS too early', 1, { CNI_COMMAND: 'STATUS' }, { cniVersion: '1.0.0' }],
    ['GC too early', 1, { CNI_COMMAND: 'GC' }, { cniVersion: '1.0.0' }],
    ['no container', 4, { CNI_CONTAINERID: undefined }],
    ['bad container', 4, { CNI_CONTAINERID: '../x' }],
    ['long container', 4, { CNI_CONTAINERID: 'a'.repeat(201) }],
    ['no interface', 4, { CNI_IFNAME: undefined }],
    ['long interface', 4, { CNI_IFNAME: 'a'.repeat(16) }],
    ['interface with a slash', 4, { CNI_IFNAME: 'a/b' }],
    ['interface ..', 4, { CNI_IFNAME: '..' }],
    ['no namespace', 4, { CNI_NETNS: undefined }],
    ['relative namespace', 4, { CNI_NETNS: 'netns/x' }],
    ['args without =', 4, { CNI_ARGS: 'a' }],
    ['pod with a colon', 4, { CNI_ARGS: 'K8S_POD_NAME=a:b' }],
    ['no name', 7, {}, { name: undefined }],
    ['bad name', 7, {}, { name: '-x' }],
    ['previous result that is no object', 7, {}, { prevResult: 'x' }],
    ['CHECK without a previous result', 7, { CNI_COMMAND: 'CHECK' }],
    ['GC without attachments', 7, { CNI_COMMAND: 'GC' }],
    ['GC with bad attachments', 7, { CNI_COMMAND: 'GC' }, { 'cni.dev/valid-attachments': [{}] }],
    ['ips that are none', 7, {}, { runtimeConfig: { ips: ['x'] } }],
    ['ips that are no list', 7, {}, { runtimeConfig: { ips: '10.0.0.1' } }],
    ['multicast MAC', 7, {}, { runtimeConfig: { mac: '01:00:00:00:00:00' } }],
    ['MAC of nobody', 7, {}, { runtimeConfig: { mac: '00:00:00:00:00:00' } }],
    ['MAC that is none', 7, {}, { runtimeConfig: { mac: 'x' } }],
    ['runtimeConfig that is no object', 7, {}, { runtimeConfig: [] }],
  ];
  for (const [what, code, env, fields] of cases) {
    assert.throws(
      () => parse(env, fields),
      (error: unknown) => {
        assert.ok(error instanceof CniError, `${what}: ${error}`);
        assert.equal(error.code, code, `${what}: ${error.message}`);
        assert.ok(error.message.length > 20 && !error.message.includes('\n'), error.message);
        return true;
      },
      what,
    );
  }
  for (const stdin of ['', 'x', '[]', 'null', '7', '{']) {
    assert.throws(() => parseRequest(new Map([['CNI_COMMAND', 'ADD']]), stdin), { code: 6 }, stdin);
  }
});

test('anything on stdin is a request or a CNI error', () => {
  const commands = fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION');
  const values = fc.dictionary(
    fc.constantFrom('cniVersion', 'name', 'prevResult', 'runtimeConfig', 'cni.dev/valid-attachments', 'x'),
    fc.jsonValue(),
  );
  const stdin = fc.oneof(
    fc.string(),
    values.map(fields => JSON.stringify({ ...config, ...fields })),
  );
  fc.assert(
    fc.property(commands, stdin, (command, text) => {
      try {
        parseRequest(new Map(Object.entries({ ...environment, CNI_COMMAND: command })), text);
      } catch (error) {
        assert.ok(error instanceof CniError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test("errors and VERSION echo the input's version", () => {
  assert.equal(echoVersion('{"cniVersion":"0.4.0"}'), '0.4.0');
  for (const text of ['', 'null', '{"cniVersion":"7"}', '{}']) assert.equal(echoVersion(text), '1.1.0', text);
  assert.deepEqual(parseRequest(new Map([['CNI_COMMAND', 'VERSION']]), ''), {
    command: 'VERSION',
    version: '1.1.0',
  });
});

function parse(env: Record<string, string | undefined>, fields: Record<string, unknown> = {}) {
  const defined = Object.entries({ ...environment, ...env }).filter(([, value]) => value !== undefined);
  return parseRequest(new Map(defined as [string, string][]), JSON.stringify({ ...config, ...fields }));
}
