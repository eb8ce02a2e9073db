/**
 * One round of the agent: objects and kernel in, a decision about epochs, a plan, drivers. Rounds are whole and repeatable;
 * what is right already is not touched, so a round after a restart loses nothing.
 *
 * The order is the law: guards stand first; then this node can open; then it says so; and only then does it seal, with
 * what the others have said that they open (epochs/runtime.ts).
 */
import { existsSync } from 'node:fs';
import { CONFLIST, type InstallPaths, installCni, removeCni } from '../cni/conflist.ts';
import type { CniServer } from '../cni/server.ts';
import { publicKeyOf } from '../drivers/wireguard-keys.ts';
import type { KubeClient } from '../kube/client.ts';
import type { CiliumNode } from '../kube/types.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import type { AgentConfig } from '../model/config.ts';
import type { Advertisement } from '../model/epochs/advertisement.ts';
import { type Epoch, protocolOf } from '../model/epochs/epoch.ts';
import { EMPTY_PLANE, type Plane } from '../model/epochs/plane.ts';
import { contains } from '../model/net.ts';
import { CLEANED_UP_ANNOTATION, PUBLIC_KEY_ANNOTATION } from '../model/node.ts';
import { type NodePlan, plan } from '../model/plan.ts';
import { judge, peersOf, type SelfNode } from '../model/snapshot.ts';
import type { DataPlane, DataPlaneObserved } from './dataplane.ts';
import { Advertisements, advertisementOf } from './epochs/advertised.ts';
import { observedPlane } from './epochs/observed-plane.ts';
import { type EpochState, type Epochs, timingOf } from './epochs/runtime.ts';
import { canBePeer, isKeyedByEngine, sealingKeyId, targetOf } from './epochs/target.ts';
import { withKeys } from './keys/desired.ts';
import type { KeyringState } from './keys/keyring.ts';
import type { NodeKeys } from './keys/node-keys.ts';
import type { Log } from './log.ts';
import { type OwnNode, ownNode, publishOwnNode, saying, sayingAgain } from './own-node.ts';
import { lowerEndpoints, raiseEndpoints } from './uninstall.ts';
import { type World, WorldError } from './world.ts';

export interface ReconcilerOptions {
  world: World;
  client: KubeClient;
  rtnetlink: Rtnetlink;
  dataPlane: DataPlane;
  epochs: Epochs;
  keys: NodeKeys;
  /** What the node lacks for this configuration, as sentences. */
  preflight: (config: AgentConfig) => Promise<string[]>;
  /** CIDRs of all pods where cilium-config does not name them. */
  clusterPodCIDRs: () => Promise<string[]>;
  cni: CniServer;
  cniPaths: InstallPaths;
  /** Of the kernel. */
  bootId: string;
  log: Log;
}

/** What the last round came to. */
export interface RoundState {
  config?: AgentConfig;
  self?: SelfNode;
  plan?: NodePlan;
  clusterPodCIDRs: string[];
  epochs?: EpochState;
  observed?: DataPlaneObserved;
  /** What is thought of the Secret with the IPsec keys; absent while IPsec is not configured. */
  keys?: KeyringState;
  /** The first whole round is done: pods can come. */
  ready: boolean;
  /** Everything of ours is off the node. */
  uninstalled: boolean;
  /** Since when (`performance.now()`) this node can neither seal nor open; absent while it can. */
  deafSince?: number;
  /** Why the last round was not whole, as a sentence. */
  problem?: string;
}

/** All that one round goes by: objects of one view, and what was read of the node. */
interface Basis {
  config: AgentConfig;
  self: SelfNode;
  clusterPodCIDRs: string[];
  nodes: CiliumNode[];
  own: CiliumNode | undefined;
  said: Map<string, Advertisement>;
  privateKey: Uint8Array | undefined;
}

export class Reconciler {
  readonly state: RoundState = { ready: false, uninstalled: false, clusterPodCIDRs: [] };
  readonly #options: ReconcilerOptions;
  readonly #advertisements = new Advertisements();
  #checkedFor: string | undefined;
  /** The last run of the engine that was seen. */
  #run: string | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Rejects when something stands in the way; what was done until then stands and is safe. */
  async round(): Promise<void> {
    try {
      await this.#round();
      delete this.state.problem;
    } catch (error) {
      this.state.problem = error instanceof Error ? error.message : String(error);
      if (!this.state.ready) this.#options.cni.setNetwork(undefined, this.state.problem);
      throw error;
    }
  }

  async #round(): Promise<void> {
    const { world, keys } = this.#options;
    const config = world.config();
    if (config.uninstall) return this.#uninstall(config);
    this.state.uninstalled = false;
    keys.use(config);
    const basis = await this.#basis(config);
    const { own, said } = basis;
    const observed = await this.#observe(basis);
    const mine = own && advertisementOf(own);
    this.#run = isKeyedByEngine(config, mine, observed.ipsec)
      ? (observed.ipsec?.run ?? this.#run)
      : undefined;
    const incarnation = this.#run ?? this.#options.bootId;

    const standing = [...said.values()].flatMap(({ opens }) => opens);
    const open = (observed.ipsec?.openings ?? []).map(({ epoch }) => epoch);
    const keyring = keys.settle(config, { open, advertised: standing });
    Object.assign(this.state, { observed, keys: keyring });
    const target = targetOf(config, keyring?.current, mine, observed.clear);
    if (target === undefined) {
      await this.#standGround(basis, EMPTY_PLANE);
      throw new WorldError(keyring?.trouble ?? 'there is no key yet');
    }
    const peers = this.#peers(basis, target);
    const plane = observedPlane({
      ...observed,
      wireguard: isOwn(observed.wireguard, basis.privateKey) ? observed.wireguard : undefined,
      ipsec: observed.ipsec,
      peers,
      awaited: this.#options.epochs.awaited,
      probes: this.#options.epochs.probes,
    });
    const canWireGuard = basis.privateKey !== undefined && observed.answers.wireguard;
    const sight = {
      incarnation,
      target,
      able: [...keys.epochs(), ...(canWireGuard ? (['wireguard'] as const) : [])],
      advertised: mine,
      peers: peers.flatMap(({ name }) => {
        const advertised = said.get(name);
        return advertised ? [{ name, advertised }] : [];
      }),
      plane,
    };
    const { epochs } = this.#options;
    const done = epochs.step(sight, timingOf(config.ipsec.keyRotationDuration), {
      apply: next => this.#apply(basis, next, observed, incarnation),
      publish: advertisement => this.#publish(basis, incarnation, advertisement, plane, observed, target),
    });
    const state = await done.finally(() => {
      if (epochs.state) this.state.epochs = epochs.state;
    });
    if (own && mine?.incarnation === incarnation && mine.opens.includes(state.decision.goal))
      await this.#admit();
  }

  /** Pods can come, once this node has said that it opens what it is to be sent. */
  async #admit(): Promise<void> {
    const { cni, cniPaths, log } = this.#options;
    const { plan: nodePlan } = this.state;
    if (!nodePlan) return;
    cni.setNetwork(nodePlan.network);
    if (!this.state.ready || !existsSync(cniPaths.conflist ?? CONFLIST)) await installCni(cniPaths);
    if (!this.state.ready) log.info('the data plane stands, pods can come', { mode: nodePlan.mode });
    this.state.ready = true;
  }

  async #basis(config: AgentConfig): Promise<Basis> {
    const { world, keys, rtnetlink } = this.#options;
    const nodes = world.ciliumNodes.items();
    const own = world.ownCiliumNode();
    const said = this.#advertisements.read(nodes);
    const isSaid = [...said.values()].some(({ opens, seals }) => [...opens, ...seals].includes('wireguard'));
    // What is no longer told of may still be open, for packets on their way.
    const privateKey = await keys.privateKey(config, isSaid || this.#mayHaveWireGuard());
    const publicKey = privateKey && publicKeyOf(privateKey);
    const self = { ...(await world.self(config, rtnetlink, publicKey)), suites: keys.suites() };
    const unfinished = { config, self, clusterPodCIDRs: [], nodes, own, said, privateKey };
    if (self.podCIDRs.length === 0) await this.#askForPodCIDR(unfinished);
    const basis = { ...unfinished, clusterPodCIDRs: await this.#clusterPodCIDRs(config, self) };
    await this.#preflight(config);
    await this.#withdrawOldKey(basis);
    return basis;
  }

  /** Unknown at the start. */
  #mayHaveWireGuard(): boolean {
    const { observed } = this.state;
    return observed === undefined || observed.wireguard !== undefined;
  }

  /** An engine that is needed and does not answer: the guards stand all the same. */
  async #observe(basis: Basis): Promise<DataPlaneObserved> {
    const { dataPlane, epochs } = this.#options;
    const { config, said, self } = basis;
    const opens = said.get(self.name)?.opens ?? [];
    const uses = (protocol: 'wireguard' | 'ipsec') =>
      config.encryption === protocol || opens.some(epoch => protocolOf(epoch) === protocol);
    try {
      return await dataPlane.observe({ wireguard: uses('wireguard'), ipsec: uses('ipsec') });
    } catch (error) {
      this.state.deafSince ??= performance.now();
      await this.#standGround(basis, epochs.state?.after ?? { ...EMPTY_PLANE, clear: dataPlane.clear });
      throw error;
    }
  }

  /** Guards and devices, and nothing that leads anywhere. */
  async #standGround(basis: Basis, plane: Plane): Promise<void> {
    const nodePlan = this.#plan(basis, plane);
    await this.#options.dataPlane.applyGround(nodePlan, plane.clear);
    if (!this.state.ready) await this.#raiseEndpoints();
  }

  #plan({ config, clusterPodCIDRs, nodes, self }: Basis, plane: Plane): NodePlan {
    const nodePlan = plan({ config, clusterPodCIDRs, nodes }, self, plane);
    Object.assign(this.state, { config, self, plan: nodePlan, clusterPodCIDRs });
    return nodePlan;
  }

  #peers({ config, clusterPodCIDRs, nodes, self }: Basis, target: Epoch) {
    const membership = judge({ config, clusterPodCIDRs, nodes });
    const { members } = peersOf(membership, self, clusterPodCIDRs);
    return members.filter(peer => canBePeer(self, peer, target));
  }

  async #apply(basis: Basis, plane: Plane, observed: DataPlaneObserved, run: string): Promise<void> {
    const { dataPlane, keys } = this.#options;
    const nodePlan = this.#plan(basis, plane);
    const { privateKey, config } = basis;
    const ipsec =
      nodePlan.ipsec &&
      withKeys(nodePlan.ipsec, {
        run,
        masterOf: epoch => keys.masterOf(epoch),
        packetLimit: config.ipsec.keyPacketLimit,
      });
    await dataPlane.applyGround(nodePlan, plane.clear);
    if (!this.state.ready) await this.#raiseEndpoints();
    try {
      await dataPlane.apply(
        nodePlan,
        { ...(privateKey && { privateKey }), ...(ipsec && { ipsec }) },
        observed,
      );
      delete this.state.deafSince;
    } catch (error) {
      this.state.deafSince ??= performance.now();
      throw error;
    }
  }

  /** Never before the guards stand: the default route would have the pods' packets. */
  async #raiseEndpoints(): Promise<void> {
    const { rtnetlink, cni, log } = this.#options;
    const pods = await raiseEndpoints(rtnetlink, cni.endpoints());
    if (pods > 0) log.info('pods from before an uninstall are connected again', { pods });
  }

  async #publish(
    basis: Basis,
    incarnation: string,
    advertisement: Advertisement | undefined,
    plane: Plane,
    observed: DataPlaneObserved,
    target: Epoch,
  ): Promise<boolean> {
    const { own, self } = basis;
    const said = advertisement ? saying(advertisement) : sayingAgain(own, incarnation);
    // A key without a word of epochs would say that WireGuard is open.
    if (said.text === undefined) return true;
    const hasWireGuard =
      basis.config.encryption === 'wireguard' ||
      isOwn(observed.wireguard, basis.privateKey) ||
      said.text.includes('wireguard');
    const publicKey = hasWireGuard ? self.publicKey : undefined;
    const isDue = observed.ipsec?.openings.some(({ epoch, out }) => epoch === target && out.due);
    const keyId = sealingKeyId(plane, target);
    const outcome = await this.#write(basis, {
      said,
      ...(publicKey === undefined ? {} : { publicKey }),
      ...(keyId === undefined ? {} : { keyId }),
      ...(isDue ? { keyDue: target } : {}),
    });
    if (outcome === 'written') {
      const fields = { epochs: said.text, ...(publicKey && { publicKey }) };
      this.#options.log.info(`CiliumNode ${self.name} written`, fields);
    }
    return outcome !== 'overtaken';
  }

  #write(
    { own, self, config }: Pick<Basis, 'own' | 'self' | 'config'>,
    what: Omit<OwnNode, 'node' | 'self' | 'config'>,
  ) {
    const { client, world } = this.#options;
    return publishOwnNode(client, own, ownNode({ node: world.node(), self, config, ...what }));
  }

  /** The operator gives pod CIDRs to CiliumNodes that are there. */
  async #askForPodCIDR(basis: Basis): Promise<never> {
    const { world, bootId } = this.#options;
    if (basis.config.ipam === 'cluster-pool')
      await this.#write(basis, { said: sayingAgain(basis.own, bootId) });
    throw world.missingPodCIDR(basis.config);
  }

  /** A key that this node has no private half of any more must not be sealed for. */
  async #withdrawOldKey(basis: Basis): Promise<void> {
    const { self, own } = basis;
    const old = own?.metadata.annotations?.[PUBLIC_KEY_ANNOTATION];
    if (!old || self.publicKey === undefined || old === self.publicKey) return;
    await this.#write(basis, { said: sayingAgain(own, this.#options.bootId) });
    this.#options.log.warning(
      `CiliumNode ${self.name} advertised a key that is not this node's; taken back`,
      { old },
    );
  }

  /** uninstall.ts tells the order and why. */
  async #uninstall(config: AgentConfig): Promise<void> {
    const { world, rtnetlink, cni, cniPaths, dataPlane, epochs, keys, bootId, log } = this.#options;
    this.state.ready = false;
    cni.setNetwork(undefined, 'it is being uninstalled');
    await removeCni(cniPaths);
    await lowerEndpoints(rtnetlink, cni.endpoints());
    const self = await world.self(config, rtnetlink, undefined);
    const written = { config, self, own: undefined };
    const said = { incarnation: bootId };
    if (!this.state.uninstalled) await this.#write(written, { said });
    await dataPlane.cleanUp();
    await keys.cleanUp();
    epochs.forget();
    if (world.ownCiliumNode()?.metadata.annotations?.[CLEANED_UP_ANNOTATION] !== bootId)
      await this.#write(written, { said, cleanedUp: bootId });
    if (!this.state.uninstalled) log.info('everything of ours is off this node');
    this.state.uninstalled = true;
    for (const key of ['plan', 'epochs', 'observed', 'keys', 'deafSince'] as const) delete this.state[key];
  }

  async #clusterPodCIDRs(config: AgentConfig, self: SelfNode): Promise<string[]> {
    const cidrs =
      config.clusterPodCIDRs.length > 0 ? config.clusterPodCIDRs : await this.#options.clusterPodCIDRs();
    const stray = self.podCIDRs.find(own => !cidrs.some(cluster => contains(cluster, own)));
    if (stray !== undefined) {
      throw new WorldError(
        `the pod CIDR ${stray} of this node is not in the cluster's (${cidrs.join(', ') || 'none known'}): ` +
          'set cluster-pod-cidrs in cilium-config to the CIDRs of all pods',
      );
    }
    return cidrs;
  }

  /** Anew for each configuration that asks for other things of the node. */
  async #preflight(config: AgentConfig): Promise<void> {
    const asks = `${config.encryption} ${config.ipv6}`;
    if (this.#checkedFor === asks) return;
    const problems = await this.#options.preflight(config);
    if (problems.length > 0) throw new PreflightError(problems);
    this.#checkedFor = asks;
  }
}

/** The node cannot do what the configuration asks for. One sentence with the remedy for each thing. */
export class PreflightError extends Error {
  override readonly name = 'PreflightError';

  constructor(problems: string[]) {
    super(problems.join('; '));
  }
}

function isOwn(wireguard: DataPlaneObserved['wireguard'], privateKey: Uint8Array | undefined): boolean {
  return privateKey !== undefined && wireguard?.publicKey === publicKeyOf(privateKey);
}
