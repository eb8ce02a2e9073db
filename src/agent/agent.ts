/** The agent put together: what it watches, what it drives, what it serves. */
import { existsSync, mkdirSync, watch } from 'node:fs';
import type { Server } from 'node:http';
import { CniServer } from '../cni/server.ts';
import { DriverUnavailable } from '../drivers/driver.ts';
import { HostGround } from '../drivers/host-ground.ts';
import { HostPaths } from '../drivers/host-paths.ts';
import { WireGuardEngine } from '../drivers/wireguard-engine.ts';
import { connect, type KubeClient } from '../kube/client.ts';
import { Recorder } from '../kube/events.ts';
import { probe } from '../linux/probe.ts';
import { openRtnetlink, type Rtnetlink } from '../linux/rtnetlink.ts';
import type { AgentConfig } from '../model/config.ts';
import { WIREGUARD_DEVICE, WIREGUARD_PORT } from '../model/names.ts';
import { type Handlers, json, serveTcp, serveUnix, text } from './api.ts';
import { kubeadmSubnets } from './cluster-cidrs.ts';
import { Controllers } from './controllers.ts';
import { driftWatch } from './drift.ts';
import { EndpointObjects, endpointId } from './endpoints.ts';
import { Heartbeat } from './heartbeat.ts';
import { reasonOf } from './kernel-events.ts';
import { loadOrCreateKey } from './keystore.ts';
import { createLog, type Log, messageOf } from './log.ts';
import { Loop } from './loop.ts';
import { Counters, metricsText } from './metrics.ts';
import { type AgentOptions, paths } from './options.ts';
import { longestPauseMs, Outages } from './outages.ts';
import { credentials } from './pod.ts';
import { preflight, udpPortFree } from './preflight.ts';
import { notReady } from './readiness.ts';
import { PreflightError, Reconciler } from './reconcile.ts';
import { type AgentStatus, agentStatus } from './status.ts';
import { Verdicts } from './verdicts.ts';
import { VERSION } from './version.ts';
import { readBootId, World } from './world.ts';

/** Runs until a signal. Rejects with a sentence when the node cannot do what it is asked for. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const agent = new Agent(options);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.resolve());
  agent.onFatal = stopped.reject;
  try {
    await Promise.race([agent.start(), stopped.promise]);
    await stopped.promise;
  } finally {
    await agent.stop();
  }
}

/** After a failure: soon again, as an engine takes a moment to listen on its new socket. */
const FIRST_PAUSE_MS = 100;
const CHECK_MS = 30_000;
const STOP_LIMIT_MS = 2000;

class Agent {
  onFatal: (error: unknown) => void = () => {};
  readonly #options: AgentOptions;
  readonly #paths: ReturnType<typeof paths>;
  readonly #log: Log;
  readonly #controllers = new Controllers();
  readonly #counters = new Counters();
  readonly #servers: Server[] = [];
  readonly #tcp = new Map<string, { where: string; server: Server | undefined }>();
  readonly #cleanUps: (() => void | Promise<void>)[] = [];
  #client!: KubeClient;
  #world!: World;
  #rtnetlink!: Rtnetlink;
  #reconciler!: Reconciler;
  #outages!: Outages;
  #verdicts!: Verdicts;
  #heartbeat!: Heartbeat;
  #wireguard!: WireGuardEngine;
  #cni!: CniServer;
  #endpoints!: EndpointObjects;
  #loop!: Loop;
  #drift!: Loop;
  #kubernetes: { version: string; problem?: string } = { version: '', problem: 'not asked yet' };
  #seesAll = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#paths = paths(options);
    this.#log = createLog({ debug: options.debug });
  }

  async start(): Promise<void> {
    this.#log.info('cilium-agent starts', {
      version: VERSION,
      node: this.#options.nodeName,
      pid: process.pid,
    });
    this.#client = connect(await credentials(this.#options.kubeconfig));
    this.#rtnetlink = openRtnetlink();
    this.#cleanUps.push(() => this.#rtnetlink.close());
    this.#wireguard = new WireGuardEngine({
      device: WIREGUARD_DEVICE,
      directory: this.#options.wireguardDir,
    });
    this.#world = this.#makeWorld();
    this.#cni = this.#makeCni();
    this.#heartbeat = new Heartbeat({
      port: this.#options.healthPort,
      nodeName: this.#options.nodeName,
      log: this.#log.with({ subsys: 'heartbeat' }),
    });
    this.#endpoints = this.#makeEndpoints();
    this.#reconciler = await this.#makeReconciler();
    const recorder = this.#makeRecorder();
    this.#verdicts = this.#makeVerdicts(recorder);
    this.#outages = new Outages({
      recorder,
      nodeName: this.#options.nodeName,
      state: this.#reconciler.state,
      lookUp: name => this.#world.ciliumNodes.get(name),
    });
    this.#loop = this.#makeLoop();
    this.#drift = driftWatch({
      state: this.#reconciler.state,
      drifted: () => this.#wireguard.drifted(),
      repair: () => this.#trigger('drift', { now: true }),
    });
    await this.#serve();
    await this.#cni.start();
    this.#watchNode();
    void this.#askVersion();
    await this.#world.start();
    this.#seesAll = true;
    this.#trigger('start', { now: true });
    this.#drift.trigger('start');
  }

  /** Leaves the data plane as it is: kernel and engine go on without an agent. */
  async stop(): Promise<void> {
    this.#log.info('cilium-agent stops; the data plane goes on');
    this.#world?.stop();
    this.#heartbeat?.stop();
    const tcp = [...this.#tcp.values()].flatMap(({ server }) => server ?? []);
    for (const server of [...this.#servers, ...tcp]) server.close().closeAllConnections();
    const done = Promise.all([
      this.#loop?.stop(),
      this.#drift?.stop(),
      this.#endpoints?.stop(),
      this.#cni?.stop(),
    ]);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([done, new Promise(resolve => (timer = setTimeout(resolve, STOP_LIMIT_MS)))]);
    clearTimeout(timer);
    for (const cleanUp of this.#cleanUps) await cleanUp();
  }

  #makeWorld(): World {
    const { nodeName, configMap, overrides } = this.#options;
    return new World({
      client: this.#client,
      nodeName,
      configMap,
      overrides,
      log: this.#log.with({ subsys: 'watch' }),
      onChange: what => this.#trigger(what),
    });
  }

  #makeCni(): CniServer {
    return new CniServer({
      socketPath: this.#paths.cniSocket,
      log: line => this.#log.info(line, { subsys: 'cni' }),
      hooks: {
        onAdd: () => this.#endpoints.changed(),
        onDelete: () => this.#endpoints.changed(),
        onRequest: request => this.#counters.cniRequest(request),
      },
    });
  }

  #makeEndpoints(): EndpointObjects {
    return new EndpointObjects({
      client: this.#client,
      log: this.#log.with({ subsys: 'endpoints' }),
      controllers: this.#controllers,
      endpoints: () => this.#cni.endpoints(),
      nodeAddress: () => this.#reconciler.state.self?.addresses[0],
      sealed: () => this.#reconciler.state.config?.encryption === 'wireguard',
    });
  }

  async #makeReconciler(): Promise<Reconciler> {
    const { cniShim } = this.#options;
    const { conflist, cniBinary, cniSocket, privateKey } = this.#paths;
    const log = this.#log.with({ subsys: 'reconcile' });
    return new Reconciler({
      world: this.#world,
      client: this.#client,
      rtnetlink: this.#rtnetlink,
      ground: new HostGround({ rtnetlink: this.#rtnetlink }),
      paths: new HostPaths({ rtnetlink: this.#rtnetlink }),
      wireguard: this.#wireguard,
      privateKeyPath: privateKey,
      privateKey: async () => {
        const key = await loadOrCreateKey(privateKey);
        if (key.fresh) log.info('a new WireGuard key was made', { path: privateKey });
        if (key.wasExposed)
          log.warning('others could read the WireGuard key; its mode is 0600 now', { path: privateKey });
        return key.privateKey;
      },
      preflight: async config => {
        const deviceThere = (await this.#rtnetlink.link(WIREGUARD_DEVICE)) !== undefined;
        const portFree = () => udpPortFree(WIREGUARD_PORT);
        return preflight({ config, abilities: await probe(), deviceThere, portFree });
      },
      clusterPodCIDRs: kubeadmSubnets(this.#client),
      cni: this.#cni,
      cniPaths: { conflist, binary: cniBinary, shim: cniShim, socketPath: cniSocket },
      bootId: await readBootId(),
      log,
    });
  }

  #makeRecorder(): Recorder {
    const log = this.#log.with({ subsys: 'events' });
    return new Recorder(this.#client, {
      controller: 'cilium-agent',
      instance: this.#options.nodeName,
      log: message => log.warning(message),
    });
  }

  #makeVerdicts(recorder: Recorder): Verdicts {
    return new Verdicts({
      client: this.#client,
      recorder,
      nodeName: this.#options.nodeName,
      log: this.#log.with({ subsys: 'verdicts' }),
      lookUp: name => this.#world.ciliumNodes.get(name),
    });
  }

  #makeLoop(): Loop {
    const log = this.#log.with({ subsys: 'reconcile' });
    return new Loop({
      debounceMs: 30,
      everyMs: CHECK_MS,
      firstPauseMs: FIRST_PAUSE_MS,
      longestPauseMs,
      run: reasons => this.#round(reasons),
      onError: (error, pauseMs) => {
        this.#counters.rounds.failure++;
        if (error instanceof PreflightError && !this.#reconciler.state.ready) this.onFatal(error);
        else log.warning(messageOf(error), { 'try-again-in': `${pauseMs}ms` });
        if (error instanceof DriverUnavailable) this.#outages.tell(error, performance.now());
      },
    });
  }

  async #round(reasons: string[]): Promise<void> {
    this.#log.debug('round', { reasons: reasons.join(', ') });
    await this.#controllers.run('reconcile', () => this.#reconciler.round());
    this.#counters.rounds.success++;
    this.#outages.over();
    const { config, plan, self } = this.#reconciler.state;
    if (!config || !plan || !self) return;
    await this.#serveAsConfigured(config);
    this.#verdicts.update(plan.membership);
    this.#heartbeat.listen(self.addresses);
    this.#heartbeat.watch(
      plan.peers.flatMap(({ name, addresses }) =>
        addresses[0] === undefined ? [] : [{ name, address: addresses[0] }],
      ),
    );
    this.#endpoints.changed();
  }

  /** Before every object was seen once, a plan would lack peers. */
  #trigger(reason: string, options?: { now: boolean }): void {
    if (this.#seesAll) this.#loop.trigger(reason, options);
  }

  /** Engines that come and go, and anybody who touches what is ours. */
  #watchNode(): void {
    mkdirSync(this.#options.wireguardDir, { recursive: true });
    const watcher = watch(this.#options.wireguardDir, (_, name) => {
      if (name?.startsWith(WIREGUARD_DEVICE)) this.#trigger('engine', { now: true });
    });
    this.#cleanUps.push(() => watcher.close());
    const events = this.#rtnetlink.subscribe(['link', 'address', 'route', 'rule'], event => {
      const reason = reasonOf(event);
      if (reason !== undefined) this.#trigger(reason);
    });
    this.#cleanUps.unshift(() => events.close());
  }

  async #serve(): Promise<void> {
    this.#servers.push(await serveUnix(this.#paths.apiSocket, this.#handlers()));
    const port = Number(this.#options.overrides['agent-health-port'] ?? 9879);
    await this.#serveOnTcp('health', '127.0.0.1', port, this.#healthHandlers());
  }

  /** Where the configuration wants probes and metrics; again when it wants them elsewhere. */
  async #serveAsConfigured({ agentHealthPort, prometheusAddress }: AgentConfig): Promise<void> {
    await this.#serveOnTcp('health', '127.0.0.1', agentHealthPort, this.#healthHandlers());
    const [, host = '', port = '0'] = /^\[?([^\]]*)\]?:(\d+)$/.exec(prometheusAddress) ?? [];
    await this.#serveOnTcp('metrics', host || '0.0.0.0', Number(port), { '/metrics': () => this.#metrics() });
  }

  /** Port 0: not at all. */
  async #serveOnTcp(name: string, host: string, port: number, handlers: Handlers): Promise<void> {
    const where = `${host}:${port}`;
    const there = this.#tcp.get(name);
    if (there?.where === where) return;
    there?.server?.close();
    try {
      this.#tcp.set(name, { where, server: port === 0 ? undefined : await serveTcp(host, port, handlers) });
    } catch (error) {
      this.#tcp.delete(name);
      throw new Error(
        `cannot listen on ${where}: ${messageOf(error)}; stop what has the port, or name another in cilium-config`,
      );
    }
  }

  #healthHandlers(): Handlers {
    return { '/healthz': () => text('ok\n'), '/readyz': () => this.#ready() };
  }

  #handlers(): Handlers {
    const encryption = async () => (await this.#status()).encryption;
    return {
      '/v1/healthz': () => this.#ready(),
      '/v1/status': async () => json(await this.#status()),
      '/v1/encrypt': async () => json(await encryption()),
      '/v1/endpoint': () => json(this.#endpointList()),
      '/v1/cluster/nodes': () => json(this.#reconciler.state.plan?.peers ?? []),
      '/v1/config': () => json(this.#reconciler.state.config ?? {}),
      '/v1/debuginfo': async () => json(await this.#debugInfo()),
      '/metrics': () => this.#metrics(),
    };
  }

  /** 503 with a sentence until pods can come, and while what they send elsewhere is dropped. */
  #ready() {
    const reason = notReady(this.#reconciler.state, performance.now());
    return reason === undefined ? text('ok\n') : text(`${reason}\n`, 503);
  }

  async #metrics() {
    return {
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: metricsText(await this.#status(), this.#counters),
    };
  }

  #status(): Promise<AgentStatus> {
    const endpoints = this.#cni.endpoints();
    const watchProblem = this.#world.problem();
    return agentStatus({
      nodeName: this.#options.nodeName,
      round: this.#reconciler.state,
      kubernetes:
        watchProblem === undefined ? this.#kubernetes : { ...this.#kubernetes, problem: watchProblem },
      cni: { conflist: this.#paths.conflist, written: existsSync(this.#paths.conflist) },
      endpointAddresses: endpoints.flatMap(({ ips }) => ips),
      controllers: this.#controllers.states(),
      beats: this.#heartbeat.beats(),
      beatsAt: this.#heartbeat.roundAt(),
      observeWireGuard: () => this.#wireguard.observe(),
    });
  }

  #endpointList() {
    return this.#cni.endpoints().map(endpoint => ({ id: endpointId(endpoint), state: 'ready', ...endpoint }));
  }

  async #debugInfo() {
    const status = await this.#status();
    const { config, plan } = this.#reconciler.state;
    return {
      'cilium-version': VERSION,
      'cilium-status': status,
      encryption: status.encryption.wireguard
        ? { wireguard: { interfaces: status.encryption.wireguard.interfaces } }
        : {},
      'endpoint-list': this.#endpointList(),
      configuration: config,
      plan: plan && { network: plan.network, ground: plan.ground, paths: plan.paths },
    };
  }

  async #askVersion(): Promise<void> {
    try {
      const { body } = await this.#client.raw('GET', '/version');
      const { major, minor, gitVersion, platform } = JSON.parse(body.toString());
      this.#kubernetes = { version: `${major}.${minor} (${gitVersion}) [${platform ?? 'linux/amd64'}]` };
    } catch (error) {
      this.#kubernetes = { version: '', problem: messageOf(error) };
      setTimeout(() => void this.#askVersion(), 10_000).unref();
    }
  }
}
