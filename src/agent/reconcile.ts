/**
 * One round of the agent: objects and kernel in, plan, drivers. Rounds are whole and repeatable; what is right already
 * is not touched, so a round after a restart loses nothing.
 *
 * The order is the law. Guards stand first. Then this node can open (key, port, peers), then it says so, and only then
 * do routes lead to peers, and only to those that have said so themselves.
 */

import { existsSync } from 'node:fs';
import { CONFLIST, type InstallPaths, installCni, removeCni } from '../cni/conflist.ts';
import type { CniServer } from '../cni/server.ts';
import type { Driver, WireGuardDriver } from '../drivers/driver.ts';
import { DriverUnavailable } from '../drivers/driver.ts';
import type { GroundObserved } from '../drivers/host-ground.ts';
import { publicKeyOf } from '../drivers/wireguard-keys.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Rtnetlink } from '../linux/rtnetlink.ts';
import type { AgentConfig } from '../model/config.ts';
import { WIREGUARD_DEVICE } from '../model/names.ts';
import { contains } from '../model/net.ts';
import { PUBLIC_KEY_ANNOTATION } from '../model/node.ts';
import { type Ground, type NodePlan, type Paths, plan } from '../model/plan.ts';
import type { SelfNode } from '../model/snapshot.ts';
import { removeKey } from './keystore.ts';
import type { Log } from './log.ts';
import { ownNode, publishOwnNode } from './own-node.ts';
import { lowerEndpoints, raiseEndpoints } from './uninstall.ts';
import { type World, WorldError } from './world.ts';

export interface ReconcilerOptions {
  world: World;
  client: KubeClient;
  rtnetlink: Rtnetlink;
  ground: Driver<Ground, GroundObserved>;
  paths: Driver<Paths, unknown>;
  wireguard: WireGuardDriver;
  /** The node's private key; made when first asked for. */
  privateKey: () => Promise<Uint8Array>;
  privateKeyPath: string;
  /** What the node lacks for this configuration, as sentences. */
  preflight: (config: AgentConfig) => Promise<string[]>;
  /** CIDRs of all pods where cilium-config does not name them. */
  clusterPodCIDRs: () => Promise<string[]>;
  cni: CniServer;
  cniPaths: InstallPaths;
  bootId: string;
  log: Log;
}

/** What the last round came to. */
export interface RoundState {
  config?: AgentConfig;
  self?: SelfNode;
  plan?: NodePlan;
  clusterPodCIDRs: string[];
  /** The key that the CiliumNode advertises by this agent's doing. */
  advertised?: string;
  /** The first whole round is done: pods can come. */
  ready: boolean;
  /** Everything of ours is off the node. */
  uninstalled: boolean;
  /** Since when (`performance.now()`) this node can neither seal nor open; absent while it can. */
  deafSince?: number;
  /** Why the last round was not whole, as a sentence. */
  problem?: string;
}

export class Reconciler {
  readonly state: RoundState = { ready: false, uninstalled: false, clusterPodCIDRs: [] };
  readonly #options: ReconcilerOptions;
  #checkedFor: string | undefined;

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
    const { world, rtnetlink, ground, paths, cni, cniPaths, log } = this.#options;
    const config = world.config();
    if (config.uninstall) return this.#uninstall(config);
    this.state.uninstalled = false;
    const privateKey = config.encryption === 'wireguard' ? await this.#options.privateKey() : undefined;
    const publicKey = privateKey && publicKeyOf(privateKey);
    const self = await world.self(config, rtnetlink, publicKey);
    if (self.podCIDRs.length === 0) await this.#askForPodCIDR(config, self);
    const clusterPodCIDRs = await this.#clusterPodCIDRs(config, self);
    await this.#preflight(config);
    await this.#withdrawOldKey(config, self, publicKey);

    const nodes = world.ciliumNodes.items();
    const nodePlan = plan({ config, clusterPodCIDRs, nodes }, self);
    Object.assign(this.state, { config, self, plan: nodePlan, clusterPodCIDRs });

    const tell = (done: string[]) => {
      for (const what of done) log.info(what);
    };
    tell(await ground.apply(nodePlan.ground));
    if (!this.state.ready) await this.#raiseEndpoints();
    const deaf = await this.#wireguard(nodePlan, privateKey, tell);
    if (!deaf) await this.#advertise(config, self, publicKey);
    const deviceThere = !nodePlan.wireguard || (await rtnetlink.link(WIREGUARD_DEVICE)) !== undefined;
    if (deviceThere) tell(await paths.apply(nodePlan.paths));
    if (deaf) throw deaf;

    cni.setNetwork(nodePlan.network);
    if (!this.state.ready || !existsSync(cniPaths.conflist ?? CONFLIST)) await installCni(cniPaths);
    if (!this.state.ready) log.info('the data plane stands, pods can come', { mode: nodePlan.mode });
    this.state.ready = true;
  }

  /** Never before the guards stand: the default route would have the pods' packets. */
  async #raiseEndpoints(): Promise<void> {
    const { rtnetlink, cni, log } = this.#options;
    const pods = await raiseEndpoints(rtnetlink, cni.endpoints());
    if (pods > 0) log.info('pods from before an uninstall are connected again', { pods });
  }

  /** Answers why this node cannot open what is sealed for it; undefined when it can. */
  async #wireguard(
    nodePlan: NodePlan,
    privateKey: Uint8Array | undefined,
    tell: (done: string[]) => void,
  ): Promise<Error | undefined> {
    try {
      if (nodePlan.wireguard && privateKey)
        tell(await this.#options.wireguard.apply({ ...nodePlan.wireguard, privateKey }));
      delete this.state.deafSince;
      return undefined;
    } catch (error) {
      this.state.deafSince ??= performance.now();
      if (error instanceof DriverUnavailable) return error;
      throw error;
    }
  }

  async #advertise(config: AgentConfig, self: SelfNode, publicKey: string | undefined): Promise<void> {
    const { client, world, bootId, log } = this.#options;
    const wanted = ownNode({
      node: world.node(),
      self,
      config,
      bootId,
      ...(publicKey === undefined ? {} : { publicKey }),
    });
    if (await publishOwnNode(client, world.ownCiliumNode(), wanted)) {
      log.info(`CiliumNode ${self.name} written`, { publicKey });
    }
    if (publicKey === undefined) delete this.state.advertised;
    else this.state.advertised = publicKey;
  }

  /** The operator gives pod CIDRs to CiliumNodes that are there. */
  async #askForPodCIDR(config: AgentConfig, self: SelfNode): Promise<never> {
    const { client, world, bootId } = this.#options;
    if (config.ipam === 'cluster-pool') {
      await publishOwnNode(
        client,
        world.ownCiliumNode(),
        ownNode({ node: world.node(), self, config, bootId }),
      );
    }
    throw world.missingPodCIDR(config);
  }

  /** A key that this node has no private half of any more must not be sealed for. */
  async #withdrawOldKey(config: AgentConfig, self: SelfNode, publicKey: string | undefined): Promise<void> {
    const { client, world, bootId, log } = this.#options;
    const there = world.ownCiliumNode();
    const old = there?.metadata.annotations?.[PUBLIC_KEY_ANNOTATION];
    if (!old || old === publicKey) return;
    await publishOwnNode(client, there, ownNode({ node: world.node(), self, config, bootId }));
    log.warning(`CiliumNode ${self.name} advertised a key that is not this node's; taken back`, { old });
  }

  /** uninstall.ts tells the order and why. */
  async #uninstall(config: AgentConfig): Promise<void> {
    const { world, rtnetlink, client, cni, cniPaths, ground, paths, wireguard, bootId, log } = this.#options;
    this.state.ready = false;
    cni.setNetwork(undefined, 'it is being uninstalled');
    await removeCni(cniPaths);
    await lowerEndpoints(rtnetlink, cni.endpoints());
    const self = await world.self(config, rtnetlink, undefined);
    const advertisement = { node: world.node(), self, config, bootId };
    if (!this.state.uninstalled) await publishOwnNode(client, world.ownCiliumNode(), ownNode(advertisement));
    await paths.cleanUp();
    await wireguard.cleanUp();
    await ground.cleanUp();
    await removeKey(this.#options.privateKeyPath);
    await publishOwnNode(client, world.ownCiliumNode(), ownNode({ ...advertisement, cleanedUp: true }));
    if (!this.state.uninstalled) log.info('everything of ours is off this node');
    this.state.uninstalled = true;
    delete this.state.plan;
    delete this.state.deafSince;
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
