/** `cilium encryption status`: asks every agent what it seals with, and puts the answers together. */
import { stringify } from 'yaml';
import { exec } from '../../kube/exec.ts';
import { PODS, type Pod } from '../../kube/types.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure } from '../failure.ts';
import { lookAtKeys } from '../keys.ts';
import { type AgentAnswer, asJson, type NodeAnswer, nodeText, summaryText } from '../status/encryption.ts';
import { asking } from '../terminal.ts';
import { readWords } from './encryption-keys.ts';

export interface EncryptionFlags {
  agentPodSelector: string;
  node?: string;
  perNodeDetails?: boolean;
  waitDuration: string;
  output: 'summary' | 'json' | 'yaml';
}

export async function encryptionStatus(context: CommandContext, flags: EncryptionFlags): Promise<void> {
  const { terminal } = context;
  const { namespace } = context.flags;
  const patience = parseWait(flags.waitDuration);
  const { client } = await context.cluster();
  const { items } = await client.list(PODS, { namespace, labelSelector: flags.agentPodSelector });
  const pods = items.filter(pod => !flags.node || pod.spec.nodeName === flags.node);
  if (pods.length === 0)
    throw new Failure(
      flags.node
        ? `no agent runs on node "${flags.node}": kubectl get nodes lists those there are`
        : `no agent runs in namespace ${namespace}: install with "cilium install" first`,
    );
  const signal = AbortSignal.any([terminal.signal, AbortSignal.timeout(Math.ceil(patience))]);
  const [answers, words, keys] = await asking(
    terminal,
    `Asking ${pods.length} agents`,
    Promise.all([
      Promise.all(pods.map(pod => ask(context, pod, signal))),
      readWords(client),
      lookAtKeys(client, namespace),
    ]),
  );
  answers.sort((a, b) => (a.node < b.node ? -1 : 1));
  const whole = { answers, words, keys, namespace, agents: items.length };
  if (flags.output === 'summary')
    terminal.out(flags.perNodeDetails ? answers.map(nodeText).join('\n') : summaryText(whole));
  else {
    const told = flags.perNodeDetails ? answers : asJson(whole);
    terminal.out(flags.output === 'json' ? `${JSON.stringify(told, null, 2)}\n` : stringify(told));
  }
  const failed = answers.filter(({ problem }) => problem);
  if (failed.length > 0)
    throw new Failure(
      failed.map(({ node, problem }) => `the agent on ${node} did not answer: ${problem}`).join('; '),
    );
}

async function ask(context: CommandContext, pod: Pod, signal: AbortSignal): Promise<NodeAnswer> {
  const node = pod.spec.nodeName ?? pod.metadata.name;
  const ready = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  if (!ready) return { node, problem: `${pod.metadata.name} is not ready ("cilium status" says why)` };
  const { connection } = await context.cluster();
  const target = {
    namespace: context.flags.namespace,
    pod: pod.metadata.name,
    container: pod.spec.containers[0]?.name ?? 'cilium-agent',
  };
  try {
    const command = ['cilium', 'encrypt', 'status', '-o', 'json'];
    const { stdout, stderr, exitCode } = await exec(connection.credentials, target, command, signal);
    if (exitCode !== 0) return { node, problem: stderr.trim() || `exit code ${exitCode}` };
    return { node, answer: JSON.parse(stdout) as AgentAnswer };
  } catch (error) {
    return { node, problem: error instanceof Error ? error.message : String(error) };
  }
}
