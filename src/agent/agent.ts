/** The agent put together: what it watches, what it drives, what it serves. */
import { existsSync, mkdirSync, watch } from 'node:fs';
import { CniServer } from '../cni/server.ts';
import { DriverUnavailable } from '../drivers/driver.ts';
import { HostGround } from '../drivers/host-ground.ts';
import { HostPaths } from '../drivers/host-paths.ts';
import { IpsecEngine } from '../drivers/ipsec-engine.ts';
import { WireGuardEngine } from '../drivers/wireguard-engine.ts';
import { connect, type KubeClient } from '../kube/client.ts';
import { Recorder } from '../kube/events.ts';
import { probe } from '../linux/probe.ts';
import { openRtnetlink, type Rtnetlink } from '../linux/rtnetlink.ts';
import { protocolOf } from '../model/epochs/epoch.ts';
import { ESP_DEVICE, WIREGUARD_DEVICE, WIREGUARD_PORT } from '../model/names.ts';
import { ApiVersion } from './api-version.ts';
import { kubeadmSubnets } from './cluster-cidrs.ts';
import { Controllers } from './controllers.ts';
import { DataPlane } from './dataplane.ts';
import { debugInfo } from './debug-info.ts';
import { driftWatch } from './drift.ts';
import { EndpointObjects, endpointId, endpointKeyId } from './endpoints.ts';
import { ipsecOpenings, wireguardOpenings } from './epochs/observed-plane.ts';
import { Prober } from './epochs/prober.ts';
import { Epochs } from './epochs/runtime.ts';
import { failpoints } from './failpoints.ts';
import { Heartbeat, heartbeatPeers } from './heartbeat.ts';
import { reasonOf } from './kernel-events.ts';
import { alarmsOf, KeyAlarms, wearOf } from './keys/alarms.ts';
import { NodeKeys } from './keys/node-keys.ts';
import { SecretWatch } from './keys/secret-watch.ts';
import { createLog, type Log, messageOf } from './log.ts';
import { Loop } from './loop.ts';
import { Counters, metricsText } from './metrics.ts';
import { type AgentOptions, paths } from './options.ts';
import { longestPauseMs, Outages } from './outages.ts';
import { credentials } from './pod.ts';
import { PodMtu } from './pod-mtu.ts';
import { preflight, udpPortFree } from './preflight.ts';
import { notReady } from './readiness.ts';
import { PreflightError, Reconciler } from './reconcile.ts';
import { Serving } from './serving.ts';
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
  readonly #apiVersion = new ApiVersion();
  readonly #cleanUps: (() => void | Promise<void>)[] = [];
  readonly #serving: Serving;
  readonly #wireguard: WireGuardEngine;
  readonly #ipsec: IpsecEngine;
  #client!: KubeClient;
  #world!: World;
  #rtnetlink!: Rtnetlink;
  #secretWatch!: SecretWatch;
  #prober!: Prober;
  #epochs!: Epochs;
  #reconciler!: Reconciler;
  #outages!: Outages;
  #alarms!: KeyAlarms;
  #verdicts!: Verdicts;
  #heartbeat!: Heartbeat;
  #cni!: CniServer;
  #endpoints!: EndpointObjects;
  #loop!: Loop;
  #drift!: Loop;
  #seesAll = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#paths = paths(options);
    this.#log = createLog({ debug: options.debug });
    this.#wireguard = new WireGuardEngine({ device: WIREGUARD_DEVICE, directory: options.wireguardDir });
    this.#ipsec = new IpsecEngine({ device: ESP_DEVICE, directory: options.ipsecDir });
    this.#serving = this.#makeServing();
  }

  async start(): Promise<void> {
    const { nodeName, healthPort, kubeconfig, overrides } = this.#options;
    this.#log.info('cilium-agent starts', { version: VERSION, node: nodeName, pid: process.pid });
    this.#client = connect(await credentials(kubeconfig));
    this.#rtnetlink = openRtnetlink();
    this.#cleanUps.push(() => this.#rtnetlink.close());
    this.#world = this.#makeWorld();
    this.#secretWatch = this.#makeSecretWatch();
    this.#cni = this.#makeCni();
    const log = this.#log.with({ subsys: 'heartbeat' });
    this.#heartbeat = new Heartbeat({ port: healthPort, nodeName, log });
    this.#endpoints = this.#makeEndpoints();
    this.#prober = this.#makeProber();
    this.#epochs = this.#makeEpochs();
    this.#reconciler = await this.#makeReconciler();
    this.#makeTellers();
    this.#loop = this.#makeLoop();
    this.#drift = this.#makeDrift();
    await this.#serving.start(this.#paths.apiSocket, Number(overrides['agent-health-port'] ?? 9879));
    await this.#cni.start();
    this.#watchNode();
    void this.#apiVersion.ask(this.#client);
    await this.#world.start();
    this.#seesAll = true;
    this.#trigger('start', { now: true });
    this.#drift.trigger('start');
  }

  /** Leaves the data plane as it is: kernel and engine go on without an agent. */
  async stop(): Promise<void> {
    this.#log.info('cilium-agent stops; the data plane goes on');
    this.#world?.stop();
    this.#secretWatch?.stop();
    this.#prober?.stop();
    this.#epochs?.stop();
    this.#heartbeat?.stop();
    this.#serving.stop();
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

  #makeSecretWatch(): SecretWatch {
    const log = this.#log.with({ subsys: 'watch' });
    return new SecretWatch({
      client: this.#client,
      log: message => log.warning(message),
      onChange: () => this.#trigger('Secret'),
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
      keyId: () => endpointKeyId(this.#reconciler.state.epochs?.decision.goal),
    });
  }

  #makeEpochs(): Epochs {
    return new Epochs({
      failpoint: failpoints(process.env['PELLICLE_FAILPOINT'], this.#options.runDir),
      again: () => this.#trigger('epochs'),
    });
  }

  #makeProber(): Prober {
    return new Prober({
      probe: (...way) => this.#ipsec.probe(...way),
      listen: async ways => {
        const has = (protocol: 'ipsec' | 'wireguard') =>
          ways.some(({ epoch }) => protocolOf(epoch) === protocol);
        const { plan } = this.#reconciler.state;
        return [
          ...(has('ipsec') ? ipsecOpenings(await this.#ipsec.observe()) : []),
          ...(has('wireguard')
            ? wireguardOpenings(plan?.wireguard?.peers ?? [], await this.#wireguard.observe())
            : []),
        ];
      },
      onHeard: () => this.#trigger('heard', { now: true }),
    });
  }

  async #makeReconciler(): Promise<Reconciler> {
    const { cniShim, configMap } = this.#options;
    const { conflist, cniBinary, cniSocket, privateKey } = this.#paths;
    const log = this.#log.with({ subsys: 'reconcile' });
    const rtnetlink = this.#rtnetlink;
    const podMtu = new PodMtu({ rtnetlink, endpoints: () => this.#cni.endpoints(), log });
    return new Reconciler({
      world: this.#world,
      client: this.#client,
      rtnetlink,
      dataPlane: new DataPlane({
        rtnetlink,
        ground: new HostGround({ rtnetlink }),
        paths: new HostPaths({ rtnetlink }),
        wireguard: this.#wireguard,
        ipsec: this.#ipsec,
        podMtu,
        tell: what => log.info(what),
      }),
      epochs: this.#epochs,
      keys: new NodeKeys({
        privateKeyPath: privateKey,
        secretWatch: this.#secretWatch,
        namespace: configMap.namespace,
        log,
      }),
      preflight: async config => {
        const deviceThere = (await rtnetlink.link(WIREGUARD_DEVICE)) !== undefined;
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

  /** Who tells of it in the API when something is wrong. */
  #makeTellers(): void {
    const { nodeName } = this.#options;
    const client = this.#client;
    const eventsLog = this.#log.with({ subsys: 'events' });
    const recorder = new Recorder(client, {
      controller: 'cilium-agent',
      instance: nodeName,
      log: message => eventsLog.warning(message),
    });
    const lookUp = (name: string) => this.#world.ciliumNodes.get(name);
    const log = this.#log.with({ subsys: 'verdicts' });
    this.#verdicts = new Verdicts({ client, recorder, nodeName, log, lookUp });
    this.#outages = new Outages({ recorder, nodeName, state: this.#reconciler.state, lookUp });
    this.#alarms = new KeyAlarms({
      client,
      recorder,
      nodeName,
      log: this.#log.with({ subsys: 'keys' }),
      lookUp: () => lookUp(nodeName),
      secret: () => this.#secretWatch.object(),
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
        this.#alarms.update(alarmsOf(this.#reconciler.state));
      },
    });
  }

  #makeDrift(): Loop {
    const { state } = this.#reconciler;
    return driftWatch({
      state,
      drifted: async () =>
        (state.plan?.wireguard !== undefined && (await this.#wireguard.drifted())) ||
        (state.plan?.ipsec !== undefined &&
          ((await this.#ipsec.drifted()) ||
            wearOf(await this.#ipsec.observe()) !== wearOf(state.observed?.ipsec))),
      repair: () => this.#trigger('drift', { now: true }),
    });
  }

  async #round(reasons: string[]): Promise<void> {
    this.#log.debug('round', { reasons: reasons.join(', ') });
    await this.#controllers
      .run('reconcile', () => this.#reconciler.round())
      // Also when the API is away: what was decided is tried all the same.
      .finally(() => this.#epochs.state && this.#prober.follow(this.#epochs.state.after));
    this.#counters.rounds.success++;
    this.#outages.over();
    const { config, plan, self } = this.#reconciler.state;
    this.#alarms.update(alarmsOf(this.#reconciler.state));
    if (!config || !plan || !self) return;
    await this.#serving.follow(config);
    this.#verdicts.update(plan.membership);
    this.#heartbeat.listen([...self.addresses, ...plan.network.gateways]);
    this.#heartbeat.watch(heartbeatPeers(plan));
    this.#endpoints.changed();
  }

  /** Before every object was seen once, a plan would lack peers. */
  #trigger(reason: string, options?: { now: boolean }): void {
    if (this.#seesAll) this.#loop.trigger(reason, options);
  }

  /** Engines that come and go, and anybody who touches what is ours. */
  #watchNode(): void {
    const { wireguardDir, ipsecDir } = this.#options;
    for (const [folder, device] of [
      [wireguardDir, WIREGUARD_DEVICE],
      [ipsecDir, ESP_DEVICE],
    ] as const) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const watcher = watch(folder, (_, name) => {
        if (name?.startsWith(device)) this.#trigger('engine', { now: true });
      });
      this.#cleanUps.push(() => watcher.close());
    }
    const events = this.#rtnetlink.subscribe(['link', 'address', 'route', 'rule'], event => {
      const reason = reasonOf(event);
      if (reason !== undefined) this.#trigger(reason);
    });
    this.#cleanUps.unshift(() => events.close());
  }

  #makeServing(): Serving {
    return new Serving({
      status: () => this.#status(),
      notReady: () => notReady(this.#reconciler.state, performance.now(), this.#world.problem()),
      metrics: async () => metricsText(await this.#status(), this.#counters),
      endpoints: () => this.#endpointList(),
      peers: () => this.#reconciler.state.plan?.peers ?? [],
      config: () => this.#reconciler.state.config ?? {},
      debugInfo: async () => debugInfo(await this.#status(), this.#reconciler.state, this.#endpointList()),
    });
  }

  #status(): Promise<AgentStatus> {
    const endpoints = this.#cni.endpoints();
    const watchProblem = this.#world.problem();
    return agentStatus({
      nodeName: this.#options.nodeName,
      round: this.#reconciler.state,
      kubernetes: { ...this.#apiVersion.known, ...(watchProblem && { problem: watchProblem }) },
      cni: { conflist: this.#paths.conflist, written: existsSync(this.#paths.conflist) },
      endpointAddresses: endpoints.flatMap(({ ips }) => ips),
      controllers: this.#controllers.states(),
      beats: this.#heartbeat.beats(),
      beatsAt: this.#heartbeat.roundAt(),
      observe: { wireguard: () => this.#wireguard.observe(), ipsec: () => this.#ipsec.observe() },
    });
  }

  #endpointList() {
    return this.#cni.endpoints().map(endpoint => ({ id: endpointId(endpoint), state: 'ready', ...endpoint }));
  }
}
