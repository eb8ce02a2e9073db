/**
 * A whole lab, used as a person does: with kubectl, from its making to its removal, with everything that may die
 * killed on the way. The machine is as before when it is gone.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { down } from '../../src/lab/cluster/down.ts';
import { checkOptions } from '../../src/lab/cluster/layout.ts';
import { reboot } from '../../src/lab/cluster/reboot.ts';
import { type LabStatus, labStatus } from '../../src/lab/cluster/status.ts';
import { up } from '../../src/lab/cluster/up.ts';
import { until } from '../../src/lab/cluster/wait.ts';
import { additions, findProgram, machineState, processesOf, run } from './machine.ts';

const name = 'test-lab';
const [main, worker, worker2] = [`${name}-control-plane`, `${name}-worker`, `${name}-worker2`];
const scratch = mkdtempSync(join(tmpdir(), 'lab-test-'));
const kubeconfig = join(scratch, 'config');
const env = { ...process.env, KUBECONFIG: kubeconfig };
let untouched = machineState(name);
/** What the first `lab up` has told. */
const steps: string[] = [];

const options = checkOptions({ name });
assert.ok(!('problem' in options));
const raise = () => up({ options, env, progress: () => {} });

const kubectl = (...args: string[]) => run('kubectl', ['--cache-dir', join(scratch, 'cache'), ...args], env);
const attempt = (...args: string[]) =>
  spawnSync('kubectl', ['--cache-dir', join(scratch, 'cache'), ...args], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
const field = (kind: string, object: string, path: string) =>
  kubectl('get', kind, object, '-o', `jsonpath={${path}}`);
const eventually = (what: string, probe: () => boolean) =>
  until(what, 40_000, () => {
    try {
      return probe();
    } catch {
      return false;
    }
  });

before(async () => {
  await down(name);
  untouched = machineState(name);
  writeFileSync(kubeconfig, 'apiVersion: v1\nkind: Config\ncurrent-context: ""\n', { mode: 0o600 });
  await up({ options, env, progress: step => steps.push(step) });
});

after(async () => {
  await down(name);
  rmSync(scratch, { recursive: true });
});

test('three nodes stand, NotReady for want of a network, and kubectl is shown the way', () => {
  const nodes = kubectl('get', 'nodes', '--no-headers').trim().split('\n');
  assert.deepEqual(nodes.map(line => line.split(/\s+/).slice(0, 2).join(' ')).sort(), [
    `${main} NotReady`,
    `${worker} NotReady`,
    `${worker2} NotReady`,
  ]);
  assert.equal(kubectl('config', 'current-context').trim(), `kind-${name}`);
  assert.match(
    field('node', worker, '.status.conditions[?(@.type=="Ready")].message'),
    /cni plugin not initialized/,
  );
  assert.equal(field('node', worker2, '.status.addresses[0].address'), '172.18.0.4');
});

test('a pod in the network of its node: logs, exec, terminal, exit codes', async () => {
  apply({
    metadata: { name: 'shell' },
    spec: {
      nodeName: worker2,
      hostNetwork: true,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'c',
          image: 'pellicle/cilium:v9',
          command: ['sh', '-c', 'echo started; echo complaint >&2; exec sleep infinity'],
        },
      ],
    },
  });
  kubectl('wait', '--for=condition=Ready', 'pod/shell', '--timeout=30s');
  assert.deepEqual(kubectl('logs', 'shell').trim().split('\n').sort(), ['complaint', 'started']);
  assert.equal(kubectl('logs', 'shell', '--tail=1', '--timestamps').trim().split(' ').length, 2);
  assert.equal(attempt('exec', 'shell', '--', 'sh', '-c', 'exit 7').status, 7);
  assert.equal(attempt('exec', 'shell', '--', 'no-such-program').status, 127);
  const missing = ['-qec', 'kubectl exec -ti shell -- no-such-program', '/dev/null'];
  assert.equal(spawnSync('script', missing, { env, timeout: 60_000 }).status, 127);
  assert.match(kubectl('get', 'events', '--sort-by=.lastTimestamp'), /Started +pod\/shell/);
  const echoed = spawnSync('kubectl', ['exec', '-i', 'shell', '--', 'cat'], {
    env,
    input: 'x'.repeat(300_000),
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.equal(echoed.stdout.length, 300_000);

  const terminal = spawn('script', ['-qec', 'kubectl exec -ti shell -- bash', '/dev/null'], { env });
  const closed = once(terminal, 'close');
  let screen = '';
  terminal.stdout.on('data', chunk => {
    screen += chunk;
  });
  await eventually('the prompt', () => screen.includes(`root@${worker2}:/home/cilium#`));
  terminal.stdin.write(
    "(trap 'echo inter''rupted; exit 130' INT; echo be''gun; while :; do sleep 0.1; done)\n",
  );
  await eventually('the loop', () => screen.includes('begun'));
  terminal.stdin.write('\x03');
  await eventually('the interrupt', () => screen.includes('interrupted'));
  terminal.stdin.write('echo code $?; exit 4\n');
  await eventually('the code', () => screen.includes('code 130'));
  const [code] = await closed;
  assert.equal(code, 4);
});

test('what cannot run says why', async () => {
  const pod = (podName: string, container: object) =>
    apply({
      metadata: { name: podName },
      spec: {
        nodeName: worker,
        hostNetwork: true,
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'busybox', ...container }],
      },
    });
  pod('unknown', { image: 'redis:7' });
  pod('unset', { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }] });
  pod('crash', { command: ['sh', '-c', 'echo last words; exit 3'] });
  pod('noprogram', { command: ['/no/such/program'] });
  const waiting = (podName: string) =>
    field('pod', podName, '.status.containerStatuses[0].state.waiting.reason');
  await eventually('ErrImagePull', () => /^(ErrImagePull|ImagePullBackOff)$/.test(waiting('unknown')));
  await eventually('CreateContainerConfigError', () => waiting('unset') === 'CreateContainerConfigError');
  await eventually('CrashLoopBackOff', () => waiting('crash') === 'CrashLoopBackOff');
  await eventually('RunContainerError', () => waiting('noprogram') !== '');
  assert.match(kubectl('logs', 'crash', '--previous'), /last words/);
  assert.match(field('pod', 'crash', '.status.containerStatuses[0].lastState.terminated.exitCode'), /^3$/);
  assert.match(kubectl('describe', 'pod', 'unknown'), /the images that exist, with any tag: .*nginx/);
  assert.match(kubectl('describe', 'pod', 'unset'), /secret "none" not found/);
  assert.match(kubectl('describe', 'pod', 'noprogram'), /no such file|not found/i);
  kubectl('delete', 'pod', 'unknown', 'unset', 'crash', 'noprogram', '--now');
});

test('with a CNI plugin the nodes become Ready, and pods on two of them reach each other', async () => {
  await installNetwork();
  kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=30s');
  kubectl('create', 'secret', 'generic', 'words', '--from-literal=word=first');
  for (const [podName, nodeName] of [
    ['a', worker],
    ['b', worker2],
  ] as const) {
    apply({
      metadata: { name: podName, labels: { app: 'pair' } },
      spec: {
        nodeName,
        terminationGracePeriodSeconds: 1,
        initContainers: [
          {
            name: 'init',
            image: 'busybox',
            command: ['sh', '-c', 'echo prepared > /shared/file'],
            volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
          },
        ],
        containers: [
          {
            name: 'c',
            image: 'nicolaka/netshoot',
            command: ['sh', '-c', 'while sleep 1; do date; done'],
            env: [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
            readinessProbe: { exec: { command: ['test', '-e', '/shared/file'] } },
            volumeMounts: [
              { name: 'shared', mountPath: '/shared' },
              { name: 'words', mountPath: '/words' },
            ],
          },
        ],
        volumes: [
          { name: 'shared', emptyDir: {} },
          { name: 'words', secret: { secretName: 'words' } },
        ],
      },
    });
  }
  kubectl('wait', '--for=condition=Ready', 'pod', '-l', 'app=pair', '--timeout=30s');
  const address = field('pod', 'b', '.status.podIP');
  assert.match(address, /^10\.244\.2\./);
  assert.equal(kubectl('exec', 'b', '--', 'printenv', 'IP').trim(), address);
  assert.match(kubectl('exec', 'a', '--', 'ping', '-c1', '-W5', address), / 0% packet loss/);
  assert.equal(kubectl('exec', 'a', '--', 'cat', '/shared/file'), 'prepared\n');

  kubectl('patch', 'secret', 'words', '-p', '{"stringData":{"word":"second"}}');
  await eventually('the new Secret', () => kubectl('exec', 'a', '--', 'cat', '/words/word') === 'second');
});

test('the kubelet killed: its containers run on, and what happened meanwhile is made up for', async () => {
  const id = field('pod', 'a', '.status.containerStatuses[0].containerID');
  const ended = field('pod', 'b', '.metadata.uid');
  for (const nodeName of [worker, worker2]) kill('lab-kubelet', `--node ${nodeName} `);
  kubectl('delete', 'pod', 'b', '--wait=false');
  await eventually('pod b to go', () => attempt('get', 'pod', 'b').status !== 0);
  assert.ok(ended);
  await eventually('exec to work again', () => attempt('exec', 'a', '--', 'true').status === 0);
  assert.equal(field('pod', 'a', '.status.containerStatuses[0].containerID'), id);
  assert.equal(field('pod', 'a', '.status.containerStatuses[0].restartCount'), '0');
  assert.equal(onNode(worker2, 'ip -br link | grep -c ^t || true').trim(), '0');
});

test('ADD and DEL that fail are tried again, and leave nothing', async () => {
  onNode(worker, 'touch /run/bridge-cni/fail');
  apply({
    metadata: { name: 'late' },
    spec: {
      nodeName: worker,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'busybox', command: ['sleep', 'infinity'] }],
    },
  });
  await eventually('the event', () =>
    /failed \(del\): the network has a holiday/.test(kubectl('describe', 'pod', 'late')),
  );
  const namespaces = () => Number(onNode(worker, 'ls /run/netns | wc -l'));
  assert.equal(namespaces(), 2);
  onNode(worker, 'rm /run/bridge-cni/fail');
  kubectl('wait', '--for=condition=Ready', 'pod/late', '--timeout=30s');
  assert.equal(namespaces(), 2);
  kubectl('delete', 'pod', 'late', '--now');
  assert.equal(namespaces(), 1);
});

test('the API server killed: what it acknowledged is there when it is back', async () => {
  kubectl('create', 'configmap', 'kept', '--from-literal=a=b');
  kill('lab-apiserver', `/lab/${name}/`);
  await eventually('the API server', () => kubectl('get', '--raw', '/readyz') === 'ok');
  assert.equal(field('configmap', 'kept', '.data.a'), 'b');
});

test('a node killed: everything on it ends, and `lab up` makes it anew', async () => {
  const before = await status();
  const node = before.nodes.find(each => each.name === worker);
  assert.ok(node?.pid);
  assert.ok(processesOf(name).some(line => line.includes(`--node ${worker} `)));
  process.kill(node.pid, 'SIGKILL');
  await eventually('its kubelet to end', () => findProgram('lab-kubelet', `--node ${worker} `) === undefined);
  assert.equal((await status()).state, 'Degraded');
  const { repaired, server } = await raise();
  assert.equal(repaired, true);
  assert.equal(server, before.server);
  await installNetwork();
  assert.equal((await status()).state, 'Running');
  await eventually(
    'pod a to run again',
    () => field('pod', 'a', '.status.containerStatuses[0].restartCount') === '1',
  );
  kubectl('wait', '--for=condition=Ready', 'pod/a', '--timeout=30s');
  assert.equal(field('configmap', 'kept', '.data.a'), 'b');
});

test('a node rebooted: what was in memory is lost, its disk and its pods come back, its boot ID is new', async () => {
  const before = bootIds();
  assert.equal(new Set(Object.values(before)).size, 3, 'every node has its own');
  for (const each of [main, worker, worker2]) assert.equal(kernelBootId(each), before[each]);
  assert.equal(bootIdInside('a'), before[worker]);
  const uid = field('pod', 'a', '.metadata.uid');
  const restarts = Number(field('pod', 'a', '.status.containerStatuses[0].restartCount'));
  onNode(
    worker,
    [
      'touch /run/in-memory /tmp/in-memory',
      'echo kept > /etc/on-disk; echo kept > /var/lib/kubelet/on-disk',
      'ip link add in-memory type bridge; ip link set in-memory up; ip route add 198.51.100.0/24 dev in-memory',
      'nft add table inet in-memory',
    ].join('\n'),
  );

  const steps: string[] = [];
  const { bootId } = await reboot({ name, node: 'worker', progress: step => steps.push(step) });
  assert.match(steps.join('\n'), new RegExp(`${worker} is off\n.*${bootId}\n.*kubelet`));
  await installNetwork();
  assert.deepEqual(bootIds(), { ...before, [worker]: bootId });
  assert.notEqual(bootId, before[worker]);
  assert.equal(kernelBootId(worker), bootId);
  const left = 'cat /proc/net/dev; ip route; nft list tables; ls /run /tmp';
  assert.doesNotMatch(onNode(worker, left), /in-memory/);
  assert.equal(onNode(worker, 'cat /etc/on-disk /var/lib/kubelet/on-disk'), 'kept\nkept\n');

  await eventually(
    'pod a to run again',
    () => Number(field('pod', 'a', '.status.containerStatuses[0].restartCount')) > restarts,
  );
  kubectl('wait', '--for=condition=Ready', 'pod/a', '--timeout=30s');
  assert.equal(field('pod', 'a', '.metadata.uid'), uid);
  assert.equal(bootIdInside('a'), bootId);
  assert.equal((await status()).state, 'Running');
});

test('the control plane rebooted: the API server comes back with what it acknowledged', async () => {
  const before = bootIds();
  const { bootId } = await reboot({ name, node: main, progress: () => {} });
  assert.deepEqual(bootIds(), { ...before, [main]: bootId });
  assert.equal(field('configmap', 'kept', '.data.a'), 'b');
  await installNetwork();
});

test('a reboot of what is not there is refused in a sentence', async () => {
  const ask = (lab: string, node: string) => reboot({ name: lab, node, progress: () => {} });
  await assert.rejects(ask(name, 'worker9'), new RegExp(`no node 'worker9': it has ${main}, ${worker}, `));
  await assert.rejects(ask('no-such-lab', 'worker'), /no lab 'no-such-lab': make it with 'pellicle lab up'/);
});

test('other options for a lab that is there are refused', async () => {
  await assert.rejects(up({ options: { ...options, workers: 3 }, env, progress: () => {} }), /lab down/);
});

test('after `lab down` the machine is as before; again it finds nothing', async () => {
  assert.equal(await down(name), true);
  assert.deepEqual(additions(untouched, machineState(name)), []);
  assert.equal(readFileSync(kubeconfig, 'utf8').includes(name), false);
  assert.equal(await down(name), false);
});

test('interrupted after any step, `lab up` takes back what it made', async () => {
  assert.ok(steps.length > 3);
  for (const [number, step] of steps.slice(0, -1).entries()) {
    const controller = new AbortController();
    let told = 0;
    const progress = () => {
      if (told++ === number) controller.abort();
    };
    await assert.rejects(up({ options, env, progress, signal: controller.signal }), /interrupted/, step);
    assert.deepEqual(additions(untouched, machineState(name)), [], step);
  }
});

function apply(pod: { metadata: { name: string; labels?: object }; spec: object }): void {
  const file = join(scratch, 'pod.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod }));
  kubectl('apply', '-f', file);
}

/** As the API has them, by node. */
function bootIds(): Record<string, string> {
  const template = '{range .items[*]}{.metadata.name} {.status.nodeInfo.bootID}{"\\n"}{end}';
  const lines = kubectl('get', 'nodes', '-o', `jsonpath=${template}`).trim().split('\n');
  return Object.fromEntries(lines.map(line => line.split(' ')));
}

function kernelBootId(node: string): string {
  return onNode(node, 'cat /proc/sys/kernel/random/boot_id').trim();
}

function bootIdInside(pod: string): string {
  return kubectl('exec', pod, '--', 'cat', '/proc/sys/kernel/random/boot_id').trim();
}

async function status(): Promise<LabStatus> {
  const found = await labStatus(name);
  assert.ok(found);
  return found;
}

function kill(program: string, argument: string): void {
  const pid = findProgram(program, argument);
  assert.ok(pid, program);
  process.kill(pid, 'SIGKILL');
}

let initOf = new Map<string, number>();

function onNode(node: string, script: string): string {
  return run('nsenter', ['-t', String(initOf.get(node)), '-a', 'sh', '-ec', script]);
}

/** The plugin of these tests on every node, and routes between the nodes. */
async function installNetwork(): Promise<void> {
  const { nodes } = await status();
  initOf = new Map(nodes.map(node => [node.name, node.pid ?? 0]));
  const plugin = readFileSync(join(import.meta.dirname, 'bridge-cni.sh'), 'utf8');
  for (const [index, node] of nodes.entries()) {
    const routes = nodes
      .map((other, at) => `ip route replace 10.244.${at}.0/24 via ${other.addresses[0]}`)
      .filter((_, at) => at !== index);
    onNode(
      node.name,
      [
        'mkdir -p /run/bridge-cni',
        `echo 10.244.${index} > /run/bridge-cni/prefix`,
        ...routes,
        `cat > /opt/cni/bin/bridge-cni <<'PLUGIN'\n${plugin}PLUGIN`,
        'chmod +x /opt/cni/bin/bridge-cni',
        `echo '{"cniVersion":"1.0.0","name":"test","plugins":[{"type":"bridge-cni"}]}' > /etc/cni/net.d/test.tmp`,
        'mv /etc/cni/net.d/test.tmp /etc/cni/net.d/10-test.conflist',
      ].join('\n'),
    );
  }
}
