/** What the tests of the API server send, and how they read what comes back. */
import assert from 'node:assert/strict';
import { request } from 'node:https';
import type { TestServer } from './testing.ts';

export const MAPS = '/api/v1/namespaces/default/configmaps';

export function map(name: string, more: object = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, ...more };
}

export const daemonset = (name: string, image = 'pellicle/cilium:v0.1.0') => `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ${name}, labels: {k8s-app: ${name}}}
spec:
  selector: {matchLabels: {k8s-app: ${name}}}
  template:
    metadata: {labels: {k8s-app: ${name}}}
    spec:
      hostNetwork: true
      containers:
      - name: agent
        image: ${image}
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 80}]
`;

export const pod = (name: string, more = '') => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  ${more}
  containers: [{name: main, image: busybox, command: [sleep, "99"]}]
`;

/** Options of a request by a token instead of a certificate. */
export function bearer(token: string) {
  return { cert: undefined, key: undefined, headers: { Authorization: `Bearer ${token}` } };
}

export function lines(text: string): string[] {
  return text.trimEnd().split('\n');
}

/** The cells of a row that kubectl printed. */
export function words(line = ''): string[] {
  return line.trim().split(/\s{2,}/);
}

/** What kubectl says on stderr when it has to fail. */
export async function refused(server: TestServer, args: string[], input?: string): Promise<string> {
  const ran = await server.kubectl(args, input);
  assert.notEqual(ran.code, 0, ran.stdout);
  return ran.stderr.trim();
}

export interface WatchEvent {
  type: string;
  object: {
    kind: string;
    code?: number;
    message?: string;
    metadata: { name: string; resourceVersion: string; annotations?: Record<string, string> };
  };
}

/** Reads a watch until this many events came. */
export function watchEvents(server: TestServer, path: string, wanted: number): Promise<WatchEvent[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`less than ${wanted} events on ${path}`)),
      10_000,
    );
    const options = {
      host: '127.0.0.1',
      port: server.port,
      ca: server.authority.cert,
      cert: server.admin.cert,
      key: server.admin.key,
      path,
      agent: false,
    };
    const outgoing = request(options, answer => {
      let text = '';
      answer.on('data', chunk => {
        text += chunk;
        const events = text.split('\n').slice(0, -1);
        if (events.length < wanted) return;
        clearTimeout(timer);
        resolve(events.slice(0, wanted).map(line => JSON.parse(line)));
        outgoing.destroy();
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
