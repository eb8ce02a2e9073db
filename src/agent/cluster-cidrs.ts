import type { KubeClient } from '../kube/client.ts';
import { CONFIGMAPS } from '../kube/types.ts';
import { podSubnetsOf } from '../model/config.ts';
import { messageOf } from './log.ts';

/** Asks for the CIDRs of all pods as kubeadm wrote them; once found they do not change while the cluster lives. */
export function kubeadmSubnets(client: KubeClient): () => Promise<string[]> {
  let found: string[] | undefined;
  return async () => {
    if (found) return found;
    const { data } = await client.get(CONFIGMAPS, 'kubeadm-config', 'kube-system').catch(error => {
      throw new Error(
        `cluster-pod-cidrs is not in cilium-config, and kubeadm's is not to be had either: ${messageOf(error)}`,
      );
    });
    const subnets = podSubnetsOf(data?.['ClusterConfiguration'] ?? '');
    if (subnets.length === 0)
      throw new Error(
        'neither cilium-config (cluster-pod-cidrs) nor kubeadm-config (podSubnet) names the CIDRs of the pods',
      );
    found = subnets;
    return found;
  };
}
