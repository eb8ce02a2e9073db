/** `cilium encryption status`: asks every agent what it seals with. */
import { exec } from '../../kube/exec.ts';
import { PODS, type Pod } from '../../kube/types.ts';
import { type CommandContext, parseWait } from '../context.ts';
import { Failure, usage } from '../failure.ts';
import { slowly } from '../terminal.ts';

export interface EncryptionFlags {
  agentPodSelector: string;
  node?: string;
  perNodeDetails?: boolean;
  waitDuration: string;
  output: string;
}

/** What `cilium encrypt status -o json` says in an agent, as far as it is read here. */
interface AgentAnswer {
  mode: string;
  wireguard?: { interfaces?: { name: string; 'public-key'?: string; 'peer-count'?: number }[] };
}

interface NodeAnswer {
  node: string;
  answer?: AgentAnswer;
  problem?: string;
}

const MODES = ['Disabled', 'IPsec', 'Wireguard'];

export async function encryptionStatus(context: CommandContext, flags: EncryptionFlags): Promise<void> {
  if (!['summary', 'json'].includes(flags.output))
    throw usage(`--output "${flags.output}" is not known: write summary or json`);
  const { terminal } = context;
  const patience = parseWait(flags.waitDuration);
  const { client } = await context.cluster();
  const { items } = await client.list(PODS, {
    namespace: context.flags.namespace,
    labelSelector: flags.agentPodSelector,
  });
  const pods = items.filter(pod => !flags.node || pod.spec.nodeName === flags.node);
  if (pods.length === 0)
    throw new Failure(
      flags.node
        ? `no agent runs on node "${flags.node}": kubectl get nodes lists those there are`
        : `no agent runs in namespace ${context.flags.namespace}: install with "cilium install" first`,
    );
  const signal = AbortSignal.any([terminal.signal, AbortSignal.timeout(Math.ceil(patience))]);
  const answers = await slowly(
    terminal,
    `Asking ${pods.length} agents`,
    Promise.all(pods.map(pod => ask(context, pod, signal))),
  );
  answers.sort((a, b) => (a.node < b.node ? -1 : 1));
  const text =
    flags.output === 'json'
      ? `${JSON.stringify(flags.perNodeDetails ? answers : asJson(answers), null, 2)}\n`
      : flags.perNodeDetails
        ? answers.map(nodeText).join('\n')
        : summary(answers);
  terminal.out(text);
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

function summary(answers: NodeAnswer[]): string {
  const rows = MODES.map(
    mode => [mode, answers.filter(({ answer }) => answer?.mode === mode).length] as const,
  );
  return rows
    .filter(([, nodes]) => nodes > 0)
    .map(([mode, nodes]) => `Encryption: ${mode} (${nodes}/${answers.length} nodes)\n`)
    .join('');
}

function nodeText({ node, answer }: NodeAnswer): string {
  const lines = [`Node: ${node}`, `Encryption: ${answer?.mode ?? 'unknown'}`];
  for (const device of answer?.wireguard?.interfaces ?? [])
    lines.push(
      `Interface: ${device.name}`,
      `\tPublic key: ${device['public-key'] ?? ''}`,
      `\tNumber of peers: ${device['peer-count'] ?? 0}`,
    );
  return `${lines.join('\n')}\n`;
}

function asJson(answers: NodeAnswer[]): object {
  const number = (mode: string) => answers.filter(({ answer }) => answer?.mode === mode).length;
  return {
    'total-node-count': answers.length,
    'enc-disabled-node-count': number('Disabled'),
    'enc-ipsec-node-count': number('IPsec'),
    'enc-wireguard-node-count': number('Wireguard'),
  };
}
