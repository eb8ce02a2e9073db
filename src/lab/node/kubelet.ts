/** The node agent: watches the pods of its node and has a worker bring each to what the API says. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { ApiError, connect, type KubeClient } from '../../kube/client.ts';
import type { Pod, Service } from '../../kube/core.ts';
import { countForm } from '../../kube/eventforms.ts';
import { Recorder } from '../../kube/events.ts';
import { Reflector } from '../../kube/reflector.ts';
import { PODS, SERVICES } from '../../kube/types.ts';
import { cluster, kubeletPort } from '../cluster/layout.ts';
import { findProject } from '../cluster/project.ts';
import type { Image } from '../images/catalog.ts';
import { LayerStore } from '../images/layers.ts';
import { ServiceProxy } from '../proxy/serviceproxy.ts';
import { capabilitiesInMask } from './capabilities.ts';
import { Cni } from './cni.ts';
import { podFolder } from './containerrun.ts';
import { readCredentials } from './credentials.ts';
import { type InstanceRecord, loadRecords } from './instance.ts';
import { newestPod } from './newestpod.ts';
import type { NodeContext } from './nodecontext.ts';
import { WatchedObjects } from './objects.ts';
import { PodWorker } from './podworker.ts';
import { bootIdFile, Registration } from './registration.ts';
import { homeFolders, Runtime, runtimeVersion } from './runtime.ts';
import { type Sandbox, Sandboxes } from './sandbox.ts';
import { kubeletServer } from './server.ts';
import { StatusWriter } from './statuses.ts';
import { Tokens } from './tokens.ts';

export interface KubeletOptions {
  node: string;
  kubeconfig: string;
  /** Folder with ca.crt and pki/kubelet-server.{crt,key}. */
  pki: string;
  images: string;
  root: string;
  nodeIps: string[];
  /** There is no other node. */
  alone: boolean;
  /** Of the node's own files on a tmpfs. */
  run: string;
}

const cniConfig = '/etc/cni/net.d';
const cniBinaries = '/opt/cni/bin';
const podLogs = '/var/log/pods';
const startsAtOnce = 6;
const checkPeriodMs = 5_000;

export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #client: KubeClient;
  readonly #workers = new Map<string, PodWorker>();
  readonly #runtime: Runtime;
  readonly #sandboxes: Sandboxes;
  readonly #context: NodeContext;
  readonly #services: Reflector<Service>;
  #records = new Map<string, InstanceRecord[]>();
  #sandboxRecords = new Map<string, Sandbox>();

  constructor(options: KubeletOptions) {
    this.#options = options;
    const { run, images, node } = options;
    this.#client = connect(readCredentials(options.kubeconfig));
    this.#runtime = new Runtime({
      containers: join(run, 'containers'),
      crun: join(run, 'crun'),
      exits: join(run, 'exits'),
      sockets: join(run, 'tty'),
      layers: new LayerStore(images, join(run, 'layers')),
      machineRoot: join(run, 'host'),
    });
    this.#sandboxes = new Sandboxes(
      { records: join(run, 'sandboxes'), namespaces: '/run/netns', cniConfig },
      new Cni(cniBinaries),
    );
    this.#services = new Reflector<Service>(this.#client, SERVICES, { log });
    const recorder = new Recorder(this.#client, {
      controller: 'kubelet',
      instance: node,
      form: countForm,
      log,
    });
    this.#context = this.#makeContext(recorder);
  }

  /** Runs until the process ends. Rejects when it cannot begin. */
  async run(): Promise<void> {
    const { node, nodeIps, pki } = this.#options;
    await this.#runtime.prepare();
    for (const folder of [this.#options.root, cniConfig, cniBinaries, podLogs, '/run/netns']) {
      await mkdir(folder, { recursive: true, mode: 0o755 });
    }
    await this.#remember();
    await this.#serve(pki);
    this.#runtime.onExit(id => this.#instanceEnded(id));
    setInterval(() => this.#checkAll(), checkPeriodMs);

    const registration = new Registration(
      this.#client,
      {
        name: node,
        ips: nodeIps,
        controlPlane: node.endsWith('-control-plane'),
        alone: this.#options.alone,
        cniConfig,
        kubeletPort,
        runtimeVersion: await runtimeVersion(),
      },
      log,
      () => this.#pokeAll(),
    );
    await registration.start();
    new ServiceProxy(this.#client, { nodeName: node }).start();
    this.#services.start();
    await this.#services.synced;
    const pods: Reflector<Pod> = new Reflector(this.#client, PODS, {
      fieldSelector: `spec.nodeName=${node}`,
      onChange: ({ type, object }) => this.#podChanged(type, object),
      onSync: () => this.#adoptionOver(),
      log,
    });
    pods.start();
  }

  #podChanged(type: 'added' | 'modified' | 'deleted', pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    const worker = this.#workers.get(uid);
    if (type === 'deleted') {
      worker?.vanish();
      if (worker?.ended) this.#workers.delete(uid);
    } else if (worker) {
      worker.update(pod);
    } else {
      const sandbox = this.#sandboxRecords.get(uid);
      this.#sandboxRecords.delete(uid);
      const records = this.#records.get(uid) ?? [];
      this.#records.delete(uid);
      this.#workers.set(uid, new PodWorker(this.#context, pod, sandbox, records));
    }
  }

  /** Reads what a kubelet before us left running. */
  async #remember(): Promise<void> {
    this.#records = Map.groupBy(await loadRecords(this.#runtime), record => record.podUid);
    for (const sandbox of await this.#sandboxes.load()) {
      const other = this.#sandboxRecords.get(sandbox.podUid);
      if (other && !sandbox.ready) this.#undo(sandbox);
      else {
        if (other) this.#undo(other);
        this.#sandboxRecords.set(sandbox.podUid, sandbox);
      }
    }
  }

  /** All pods of the node are known now: what is left of others is taken down. */
  #adoptionOver(): void {
    const records = [...this.#records.values()].flat();
    const sandboxes = [...this.#sandboxRecords.values()];
    const kept = [...this.#workers.values()].flatMap(worker => worker.sandboxId ?? []);
    void this.#sandboxes
      .collectGarbage([...kept, ...sandboxes.map(each => each.id)])
      .catch(error => log(`network garbage: ${(error as Error).message}`));
    this.#records.clear();
    this.#sandboxRecords.clear();
    void Promise.all(records.map(record => this.#runtime.remove(record.id))).then(() => {
      for (const sandbox of sandboxes) this.#undo(sandbox);
    });
  }

  /** Again and again until the network plugin has done its part. */
  #undo(sandbox: Sandbox): void {
    this.#sandboxes.remove(sandbox).catch(error => {
      log(`sandbox of ${sandbox.podNamespace}/${sandbox.podName}: ${(error as Error).message}`);
      setTimeout(() => this.#undo(sandbox), checkPeriodMs);
    });
  }

  #instanceEnded(id: string): void {
    for (const worker of this.#workers.values()) {
      void worker.instances.find(instance => instance.record.id === id)?.check();
    }
  }

  #checkAll(): void {
    for (const worker of this.#workers.values()) for (const each of worker.instances) void each.check();
  }

  #pokeAll(): void {
    for (const worker of this.#workers.values()) worker.poke();
  }

  #serve(pki: string): Promise<void> {
    const read = (name: string) => readFileSync(join(pki, name), 'utf8');
    const server = kubeletServer(
      {
        find: (namespace, name) => newestPod(this.#workers.values(), namespace, name),
        pods: () => [...this.#workers.values()].map(({ pod }) => pod),
      },
      this.#runtime,
      {
        cert: read('pki/kubelet-server.crt'),
        key: read('pki/kubelet-server.key'),
        ca: read('ca.crt'),
      },
    );
    return new Promise((resolve, reject) => {
      server.on('error', reject);
      server.listen(kubeletPort, () => resolve());
    });
  }

  #makeContext(recorder: Recorder): NodeContext {
    const { node, nodeIps, root } = this.#options;
    const client = this.#client;
    return {
      nodeName: node,
      nodeIps,
      cpus: cpus().length,
      memoryBytes: totalmem(),
      root,
      podLogs,
      nodeHosts: readFileSync('/etc/hosts', 'utf8'),
      dns: {
        clusterDns: cluster.dnsService,
        domain: cluster.domain,
        nodeResolvConf: readFileSync('/etc/resolv.conf', 'utf8'),
      },
      homes: homeFolders(),
      machineCapabilities: ownCapabilities(),
      systemMounts: [bootIdFile, ...findProject().mounts].map(path => ({
        destination: path,
        type: 'bind',
        source: path,
        options: ['rbind', 'rprivate', 'ro'],
      })),
      runtime: this.#runtime,
      sandboxes: this.#sandboxes,
      tokens: new Tokens(client),
      objects: new WatchedObjects(client, users => {
        for (const uid of users) this.#workers.get(uid)?.poke();
      }),
      statuses: new StatusWriter(client, log),
      services: namespace =>
        this.#services
          .items()
          .filter(
            ({ metadata }) =>
              metadata.namespace === namespace ||
              (metadata.name === 'kubernetes' && metadata.namespace === 'default'),
          ),
      imageDigest: (image: Image) => createHash('sha256').update(JSON.stringify(image)).digest('hex'),
      event: (pod, type, reason, message, fieldPath) =>
        recorder.event(
          {
            apiVersion: 'v1',
            kind: 'Pod',
            name: pod.metadata.name,
            namespace: pod.metadata.namespace ?? 'default',
            ...(pod.metadata.uid && { uid: pod.metadata.uid }),
            ...(fieldPath && { fieldPath }),
          },
          type,
          reason,
          'Kubelet',
          message,
        ),
      limit: limiter(startsAtOnce),
      deletePod: pod => deletePod(client, pod),
      removeLogs: pod => rm(join(podLogs, podFolder(pod)), { recursive: true, force: true }),
      onEnded: uid => {
        // While finalizers hold the object, its worker stays, so that no other is made.
        if (!this.#stillThere(uid)) this.#workers.delete(uid);
      },
      log,
    };
  }

  #stillThere(uid: string): boolean {
    return (this.#workers.get(uid)?.pod.metadata.finalizers ?? []).length > 0;
  }
}

async function deletePod(client: KubeClient, { metadata }: Pod): Promise<boolean> {
  try {
    await client.delete(PODS, metadata.name, metadata.namespace, {
      gracePeriodSeconds: 0,
      ...(metadata.uid && { preconditions: { uid: metadata.uid } }),
    });
    return true;
  } catch (error) {
    if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return true;
    log(`deleting ${metadata.namespace}/${metadata.name}: ${(error as Error).message}`);
    return false;
  }
}

/** At most `most` at a time, in order. */
function limiter(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async work => {
    if (running >= most) await new Promise<void>(resolve => waiting.push(resolve));
    running++;
    try {
      return await work();
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
}

function ownCapabilities(): string[] {
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return capabilitiesInMask(mask ?? '0');
}

function log(message: string): void {
  console.error(`${new Date().toISOString()} ${message}`);
}
