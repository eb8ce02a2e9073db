/** The types of networking.k8s.io/v1, discovery.k8s.io/v1, coordination.k8s.io/v1, events.k8s.io/v1, in the notation of schema.ts. */
export const network = `
# networking.k8s.io/v1
Ingress metadata@1:ObjectMeta spec@2:IngressSpec status@3:IngressStatus
IngressSpec ingressClassName@4:&s defaultBackend@1:IngressBackend tls@2:IngressTLS[] rules@3:IngressRule[]
IngressStatus loadBalancer@1:IngressLoadBalancerStatus
IngressBackend service@4:IngressServiceBackend resource@3:TypedLocalObjectReference
IngressTLS hosts@1:s[] secretName@2:s
IngressRule host@1:s ...IngressRuleValue@2
IngressLoadBalancerStatus ingress@1:IngressLoadBalancerIngress[]
IngressServiceBackend name@1:&s port@2:ServiceBackendPort
IngressRuleValue http@1:HTTPIngressRuleValue
IngressLoadBalancerIngress ip@1:s hostname@2:s ports@4:IngressPortStatus[]
ServiceBackendPort! name@1:s number@2:i
HTTPIngressRuleValue paths@1:&HTTPIngressPath[]
IngressPortStatus port@1:&i protocol@2:&s error@3:&s
HTTPIngressPath path@1:s pathType@3:&s backend@2:IngressBackend
IngressClass metadata@1:ObjectMeta spec@2:IngressClassSpec
IngressClassSpec controller@1:s parameters@2:IngressClassParametersReference
IngressClassParametersReference apiGroup@1:&s kind@2:&s name@3:&s scope@4:&s namespace@5:&s
NetworkPolicy metadata@1:ObjectMeta spec@2:NetworkPolicySpec
NetworkPolicySpec podSelector@1:LabelSelector ingress@2:NetworkPolicyIngressRule[]
  egress@3:NetworkPolicyEgressRule[] policyTypes@4:s[]
NetworkPolicyIngressRule ports@1:NetworkPolicyPort[] from@2:NetworkPolicyPeer[]
NetworkPolicyEgressRule ports@1:NetworkPolicyPort[] to@2:NetworkPolicyPeer[]
NetworkPolicyPort protocol@1:&s port@2:x endPort@3:&i
NetworkPolicyPeer podSelector@1:LabelSelector namespaceSelector@2:LabelSelector ipBlock@3:IPBlock
IPBlock cidr@1:&s except@2:s[]
# discovery.k8s.io/v1
EndpointSlice metadata@1:ObjectMeta addressType@4:&s endpoints@2:&Endpoint[]
  ports@3:&discovery.EndpointPort[]
Endpoint addresses@1:&s[=] conditions@2:EndpointConditions hostname@3:&s targetRef@4:ObjectReference
  deprecatedTopology@5:s{} nodeName@6:&s zone@7:&s hints@8:EndpointHints
discovery.EndpointPort! name@1:&s protocol@2:&s port@3:&i appProtocol@4:&s
EndpointConditions ready@1:&b serving@2:&b terminating@3:&b
EndpointHints forZones@1:ForZone[]
ForZone name@1:&s
# coordination.k8s.io/v1
Lease metadata@1:ObjectMeta spec@2:LeaseSpec
LeaseSpec holderIdentity@1:&s leaseDurationSeconds@2:&i acquireTime@3:u renewTime@4:u leaseTransitions@5:&i
  strategy@6:&s preferredHolder@7:&s
# events.k8s.io/v1
events.Event metadata@1:ObjectMeta eventTime@2:u series@3:events.EventSeries reportingController@4:s
  reportingInstance@5:s action@6:s reason@7:s regarding@8:ObjectReference related@9:ObjectReference
  note@10:s type@11:s deprecatedSource@12:EventSource deprecatedFirstTimestamp@13:t
  deprecatedLastTimestamp@14:t deprecatedCount@15:i
events.EventSeries count@1:&i lastObservedTime@2:u
`;
