/** `cilium status`: what runs, and what is wrong with it; with --wait until nothing is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isNotFound, type KubeClient, KubeUnreachable } from '../../kube/client.ts';
import {
  CILIUMENDPOINTS,
  CILIUMNODES,
  CONFIGMAPS,
  DAEMONSETS,
  DEPLOYMENTS,
  EVENTS,
  type KubeObject,
  NODES,
  PODS,
  type ResourceType,
} from '../../kube/types.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure, usage } from '../failure.ts';
import { CONFIG_NAME } from '../install/config.ts';
import { readOr } from '../install/facts.ts';
import { AGENT, ENGINE, OPERATOR } from '../install/labels.ts';
import { readRelease } from '../install/release.ts';
import { lookAtKeys } from '../keys.ts';
import { formatStatus, stateOf } from '../status/format.ts';
import { type Observed, type Problem, reportOf, type StatusReport } from '../status/report.ts';
import { asking, type Terminal } from '../terminal.ts';

export interface StatusFlags {
  wait?: boolean;
  waitDuration: string;
  ignoreWarnings?: boolean;
  output: string;
}

const BETWEEN_LOOKS = 500;

export async function status(context: CommandContext, flags: StatusFlags): Promise<void> {
  const { terminal } = context;
  if (!['summary', 'json'].includes(flags.output))
    throw usage(`--output "${flags.output}" is not known: write summary or json`);
  const patience = parseWait(flags.waitDuration);
  const strict = !flags.ignoreWarnings;
  const report = flags.wait ? await waitUntilSound(context, patience, strict) : await look(context);
  const problems = report.errors.length + (strict ? report.warnings.length : 0);
  const text =
    flags.output === 'json' ? `${JSON.stringify(asJson(report), null, 2)}\n` : summary(terminal, report);
  if (flags.wait && problems > 0) {
    terminal.err(text);
    throw new Failure(
      `timeout while waiting for status to become successful: ${sentenceOf(report.errors[0] ?? report.warnings[0])}`,
    );
  }
  terminal.out(text);
}

/** For `install --wait`: throws a Failure when it does not come up in time. */
export async function waitForStatus(context: CommandContext, patience: number): Promise<void> {
  const report = await waitUntilSound(context, patience, true);
  const problem = report.errors[0] ?? report.warnings[0];
  if (!problem) return;
  context.terminal.err(summary(context.terminal, report));
  throw new Failure(`timeout while waiting for status to become successful: ${sentenceOf(problem)}`);
}

export async function observe(client: KubeClient, namespace: string): Promise<Observed> {
  const [agent, engine, operator, config, pods, nodes, ciliumNodes, endpoints, events, release, found] =
    await Promise.all([
      readOr(client, DAEMONSETS, AGENT, namespace),
      readOr(client, DAEMONSETS, ENGINE, namespace),
      readOr(client, DEPLOYMENTS, OPERATOR, namespace),
      readOr(client, CONFIGMAPS, CONFIG_NAME, namespace),
      client.list(PODS).then(list => list.items),
      client.list(NODES).then(list => list.items),
      listOr(client, CILIUMNODES),
      listOr(client, CILIUMENDPOINTS),
      client.list(EVENTS, { fieldSelector: 'type=Warning' }).then(
        list => list.items.filter(({ reportingController }) => reportingController === 'cilium-agent'),
        // What only explains may be missing.
        () => [],
      ),
      // People may look at the state without being allowed to read Secrets.
      readRelease(client, namespace).catch(() => undefined),
      lookAtKeys(client, namespace),
    ]);
  const keys = config?.data?.['enable-ipsec'] === 'true' ? found : undefined;
  const { version, ciliumVersion } = release ?? {};
  return {
    agent,
    engine,
    operator,
    config,
    pods,
    nodes,
    ciliumNodes,
    keys,
    endpoints,
    events,
    namespace,
    version,
    ciliumVersion,
  };
}

async function look(context: CommandContext): Promise<StatusReport> {
  const { client } = await context.cluster();
  const observed = observe(client, context.flags.namespace);
  return reportOf(await asking(context.terminal, `Asking the cluster at ${client.server}`, observed));
}

async function waitUntilSound(
  context: CommandContext,
  patience: number,
  strict: boolean,
): Promise<StatusReport> {
  const { terminal } = context;
  const started = performance.now();
  let told = started;
  for (;;) {
    const report = await lookPatiently(context, started + patience);
    const problem = report.errors[0] ?? (strict ? report.warnings[0] : undefined);
    if (!problem || performance.now() - started > patience) return report;
    if (performance.now() - told > 5_000) {
      told = performance.now();
      terminal.err(`⌛ ${sentenceOf(problem)}…\n`);
    }
    await sleep(BETWEEN_LOOKS, undefined, { signal: terminal.signal });
  }
}

/** With the pod or node it is about, where there is one. */
function sentenceOf(problem: Problem | undefined): string {
  if (!problem) return '';
  const { component, subject, message } = problem;
  return subject === '' || message.includes(subject) || subject === component
    ? message
    : `${subject}: ${message}`;
}

/** An API server that restarts meanwhile is waited for too, once it has been reached. */
async function lookPatiently(context: CommandContext, deadline: number): Promise<StatusReport> {
  for (let failures = 0; ; failures++) {
    try {
      return await look(context);
    } catch (error) {
      if (!(error instanceof KubeUnreachable) || failures > 2 || performance.now() > deadline) throw error;
      await sleep(BETWEEN_LOOKS, undefined, { signal: context.terminal.signal });
    }
  }
}

/** No such kind: no objects. */
async function listOr<T extends KubeObject>(client: KubeClient, type: ResourceType<T>): Promise<T[]> {
  try {
    return (await client.list(type)).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

function summary(terminal: Terminal, report: StatusReport): string {
  return formatStatus(report, (name, text) => terminal.colour(name, text));
}

/** Also scripts read it: names stay. */
function asJson(report: StatusReport): object {
  return {
    apiVersion: 'pellicle.io/v1',
    kind: 'Status',
    cilium: stateOf(report, [AGENT, ENGINE]),
    operator: stateOf(report, [OPERATOR]),
    ...report,
  };
}
