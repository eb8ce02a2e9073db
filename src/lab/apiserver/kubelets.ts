/** How the server reaches kubelets: where they listen, and who it says it is. */
import { Agent, type RequestOptions } from 'node:https';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { count, objects, text } from './object.ts';
import { internal } from './status.ts';
import type { Store } from './store.ts';

const KUBELET_PORT = 10_250;

/** Reaches kubelets with the server's own client certificate. */
export class Kubelets {
  readonly credentials: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly #agent: Agent;

  constructor(credentials: Kubelets['credentials']) {
    this.credentials = credentials;
    this.#agent = new Agent({ ...credentials, keepAlive: true, maxFreeSockets: 8 });
  }

  options(store: Store, nodeName: string): RequestOptions {
    const node = store.get('nodes', '', nodeName)?.object;
    const address = text(
      objects(node, 'status', 'addresses').find(item => item.type === 'InternalIP'),
      'address',
    );
    if (!address) throw internal(`no preferred addresses found; known addresses of node "${nodeName}": []`);
    return {
      agent: this.#agent,
      host: address,
      port: count(node, 'status', 'daemonEndpoints', 'kubeletEndpoint', 'Port') || KUBELET_PORT,
      // A kubelet's certificate names its node, its address, or both.
      checkServerIdentity: (host: string, certificate: PeerCertificate) =>
        checkServerIdentity(host, certificate) && checkServerIdentity(nodeName, certificate),
    };
  }

  close(): void {
    this.#agent.destroy();
  }
}
