/** The types of storage.k8s.io/v1, node.k8s.io/v1, apiextensions.k8s.io/v1, in the notation of schema.ts. */
export const other = `
# storage.k8s.io/v1
StorageClass metadata@1:ObjectMeta provisioner@2:&s parameters@3:s{} reclaimPolicy@4:&s mountOptions@5:s[]
  allowVolumeExpansion@6:&b volumeBindingMode@7:&s allowedTopologies@8:TopologySelectorTerm[]
CSINode metadata@1:ObjectMeta spec@2:CSINodeSpec
CSINodeSpec drivers@1:&CSINodeDriver[name]~name
CSINodeDriver name@1:&s nodeID@2:&s topologyKeys@3:&s[] allocatable@4:VolumeNodeResources
VolumeNodeResources count@1:&i
CSIDriver metadata@1:ObjectMeta spec@2:CSIDriverSpec
CSIDriverSpec attachRequired@1:&b podInfoOnMount@2:&b volumeLifecycleModes@3:s[=] storageCapacity@4:&b
  fsGroupPolicy@5:&s tokenRequests@6:storage.TokenRequest[] requiresRepublish@7:&b seLinuxMount@8:&b
storage.TokenRequest audience@1:&s expirationSeconds@2:&i
VolumeAttachment metadata@1:ObjectMeta spec@2:VolumeAttachmentSpec status@3:VolumeAttachmentStatus
VolumeAttachmentSpec attacher@1:&s source@2:VolumeAttachmentSource nodeName@3:&s
VolumeAttachmentStatus attached@1:&b attachmentMetadata@2:s{} attachError@3:VolumeError
  detachError@4:VolumeError
VolumeAttachmentSource persistentVolumeName@1:&s inlineVolumeSpec@2:PersistentVolumeSpec
VolumeError time@1:t message@2:s
# node.k8s.io/v1
RuntimeClass metadata@1:ObjectMeta handler@2:&s overhead@3:Overhead scheduling@4:Scheduling
Overhead podFixed@1:q{}
Scheduling nodeSelector@1:s{!} tolerations@2:Toleration[]
# apiextensions.k8s.io/v1
CustomResourceDefinition metadata@1:ObjectMeta spec@2:CustomResourceDefinitionSpec
  status@3:CustomResourceDefinitionStatus
CustomResourceDefinitionSpec group@1:&s names@3:CustomResourceDefinitionNames scope@4:&s
  versions@7:&CustomResourceDefinitionVersion[] conversion@9:CustomResourceConversion
  preserveUnknownFields@10:b
CustomResourceDefinitionStatus conditions@1:&CustomResourceDefinitionCondition[type]
  acceptedNames@2:CustomResourceDefinitionNames storedVersions@3:&s[]
CustomResourceDefinitionNames plural@1:&s singular@2:s shortNames@3:s[] kind@4:&s listKind@5:s
  categories@6:s[]
CustomResourceDefinitionVersion name@1:&s served@2:&b storage@3:&b deprecated@7:b deprecationWarning@8:&s
  schema@4:CustomResourceValidation subresources@5:CustomResourceSubresources
  additionalPrinterColumns@6:CustomResourceColumnDefinition[] selectableFields@9:SelectableField[]
CustomResourceConversion strategy@1:&s webhook@2:WebhookConversion
CustomResourceDefinitionCondition type@1:&s status@2:&s lastTransitionTime@3:t reason@4:s message@5:s
CustomResourceValidation openAPIV3Schema@1:*
CustomResourceSubresources status@1:* scale@2:CustomResourceSubresourceScale
CustomResourceColumnDefinition name@1:&s type@2:&s format@3:s description@4:s priority@5:i jsonPath@6:&s
SelectableField jsonPath@1:&s
WebhookConversion clientConfig@2:WebhookClientConfig conversionReviewVersions@3:&s[]
CustomResourceSubresourceScale specReplicasPath@1:&s statusReplicasPath@2:&s labelSelectorPath@3:&s
WebhookClientConfig url@3:&s service@1:ServiceReference caBundle@2:y
ServiceReference namespace@1:&s name@2:&s path@3:&s port@4:&i
`;
