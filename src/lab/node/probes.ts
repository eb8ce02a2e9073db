/** Startup, liveness and readiness probes of a running container. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Container, LifecycleHandler, Probe } from '../../kube/core.ts';

export type ProbeKind = 'Startup' | 'Liveness' | 'Readiness';
export interface ProbeOutcome {
  ok: boolean;
  message: string;
}

export interface ProbeTarget {
  /** Where httpGet and tcpSocket go when they name no host. */
  podIp: string;
  container: Container;
  exec(command: string[], timeoutMs: number): Promise<{ code: number; output: string }>;
}

export interface ProbeListener {
  /** Called when it changes. */
  ready(ready: boolean): void;
  started(): void;
  /** One failed attempt. */
  unhealthy(kind: ProbeKind, message: string): void;
  /** As many failures as the threshold says: liveness and startup end the container. */
  failed(kind: 'Startup' | 'Liveness', probe: Probe): void;
}

export interface ProbeState {
  started: boolean;
  ready: boolean;
}

/** Runs until `stop`. `known`: what was known before a restart of the kubelet. */
export class Prober {
  readonly #target: ProbeTarget;
  readonly #listener: ProbeListener;
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;
  #ready: boolean;

  constructor(target: ProbeTarget, listener: ProbeListener, known?: ProbeState) {
    this.#target = target;
    this.#listener = listener;
    this.#ready = known?.ready ?? false;
    const { startupProbe } = target.container;
    if (startupProbe && !known?.started) this.#run('Startup', startupProbe);
    else this.#begin();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #begin(): void {
    const { livenessProbe, readinessProbe } = this.#target.container;
    this.#listener.started();
    if (livenessProbe) this.#run('Liveness', livenessProbe);
    if (readinessProbe) this.#run('Readiness', readinessProbe);
    else this.#setReady(true);
  }

  #run(kind: ProbeKind, probe: Probe): void {
    const period = (probe.periodSeconds ?? 10) * 1000;
    const { successThreshold = 1, failureThreshold = 3 } = probe;
    let successes = 0;
    let failures = 0;
    const attempt = async () => {
      const outcome = await runProbe(probe, this.#target);
      if (this.#stopped) return;
      successes = outcome.ok ? successes + 1 : 0;
      failures = outcome.ok ? 0 : failures + 1;
      if (!outcome.ok) this.#listener.unhealthy(kind, outcome.message);
      if (kind === 'Readiness') {
        if (successes >= successThreshold) this.#setReady(true);
        else if (failures >= failureThreshold) this.#setReady(false);
      } else if (failures >= failureThreshold) {
        this.#listener.failed(kind, probe);
        return;
      } else if (kind === 'Startup' && successes >= successThreshold) {
        this.#begin();
        return;
      }
      // A container that is not ready yet is asked again soon: people wait for it.
      const pause = kind === 'Readiness' && !this.#ready ? Math.min(period, 1000) : period;
      this.#later(pause, attempt);
    };
    this.#later((probe.initialDelaySeconds ?? 0) * 1000, attempt);
  }

  #later(ms: number, work: () => Promise<void>): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void work();
    }, ms);
    this.#timers.add(timer);
  }

  #setReady(ready: boolean): void {
    if (this.#ready === ready) return;
    this.#ready = ready;
    this.#listener.ready(ready);
  }
}

/** One attempt. Also runs `postStart` and `preStop`, which take the same handlers. */
export async function runProbe(
  handler: LifecycleHandler & { timeoutSeconds?: number },
  target: ProbeTarget,
): Promise<ProbeOutcome> {
  const timeoutMs = (handler.timeoutSeconds ?? 1) * 1000;
  try {
    if (handler.exec) {
      const { code, output } = await target.exec(handler.exec.command ?? [], timeoutMs);
      return { ok: code === 0, message: output.trim() || `command ended with ${code}` };
    }
    if (handler.httpGet) return await httpProbe(handler.httpGet, target, timeoutMs);
    if (handler.tcpSocket) {
      const { host, port } = handler.tcpSocket;
      return await tcpProbe(host || target.podIp, portOf(port, target.container), timeoutMs);
    }
    if (handler.sleep) {
      const { seconds } = handler.sleep;
      await new Promise(resolve => setTimeout(resolve, seconds * 1000));
      return { ok: true, message: '' };
    }
    return { ok: false, message: 'missing probe handler: exec, httpGet and tcpSocket are known' };
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}

function httpProbe(
  get: NonNullable<Probe['httpGet']>,
  { podIp, container }: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const secure = get.scheme?.toUpperCase() === 'HTTPS';
  const host = get.host || podIp;
  const port = portOf(get.port, container);
  const path = get.path?.startsWith('/') ? get.path : `/${get.path ?? ''}`;
  const url = `${secure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
  const headers = Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value]));
  return new Promise(resolve => {
    const fail = (why: string) => resolve({ ok: false, message: `Get "${url}": ${why}` });
    const request = (secure ? httpsRequest : httpRequest)(
      {
        host,
        port,
        path,
        agent: false,
        headers: { 'user-agent': 'kube-probe/1.32', accept: '*/*', connection: 'close', ...headers },
        ...(secure && { rejectUnauthorized: false }),
      },
      response => {
        const status = response.statusCode ?? 0;
        response.resume();
        resolve(
          status >= 200 && status < 400
            ? { ok: true, message: '' }
            : { ok: false, message: `HTTP probe failed with statuscode: ${status}` },
        );
        response.on('end', () => request.destroy());
      },
    );
    const timer = setTimeout(() => {
      fail('context deadline exceeded (Client.Timeout exceeded while awaiting headers)');
      request.destroy();
    }, timeoutMs);
    request.on('error', error => fail(dialError(error, host, port)));
    request.on('close', () => clearTimeout(timer));
    request.end();
  });
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeOutcome> {
  return new Promise(resolve => {
    const socket = connect({ host, port });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`)));
    socket.on('connect', () => {
      socket.destroy();
      resolve({ ok: true, message: '' });
    });
    socket.on('error', error => resolve({ ok: false, message: dialError(error, host, port) }));
  });
}

function dialError(error: NodeJS.ErrnoException, host: string, port: number): string {
  const words: Record<string, string> = {
    ECONNREFUSED: 'connect: connection refused',
    EHOSTUNREACH: 'connect: no route to host',
    ENETUNREACH: 'connect: network is unreachable',
  };
  const known = words[error.code ?? ''];
  return known ? `dial tcp ${host}:${port}: ${known}` : error.message;
}

function portOf(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(each => each.name === port)?.containerPort;
  const number = named ?? Number(port);
  if (!Number.isInteger(number)) throw new Error(`couldn't find port: "${port}"`);
  return number;
}
