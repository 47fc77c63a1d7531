import { fails, k, type KubectlCase } from "./case.ts";

const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: boats.sea.example.com }
spec:
  group: sea.example.com
  scope: Namespaced
  names: { plural: boats, singular: boat, kind: Boat, shortNames: [bt], categories: [all] }
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {}, scale: { specReplicasPath: .spec.oars, statusReplicasPath: .status.oars } }
      additionalPrinterColumns:
        - { name: Oars, type: integer, jsonPath: .spec.oars }
        - { name: Home, type: string, jsonPath: .spec.home, priority: 1 }
      schema:
        openAPIV3Schema:
          type: object
          description: Something that swims.
          properties:
            spec:
              type: object
              required: [oars]
              properties:
                oars: { type: integer, minimum: 1, description: How many move it. }
                home: { type: string, default: Hamburg }
            status: { type: object, properties: { oars: { type: integer }, phase: { type: string } } }
      selectableFields: [{ jsonPath: .spec.home }]
`;
const boat = (oars: string) => `apiVersion: sea.example.com/v1
kind: Boat
metadata: { name: ann, namespace: ko }
spec: { oars: ${oars} }
`;

/** Custom resources, explain, and every form of output. */
export const output: Readonly<Record<string, readonly KubectlCase[]>> = {
  "custom resources": [
    k("create ns ko"),
    k("apply -f -", [/^customresourcedefinition\.\S+\/boats\.sea\.example\.com created$/m], { input: crd }),
    k("wait --for=condition=Established crd/boats.sea.example.com --timeout=10s", [/condition met$/m]),
    k("wait --for=create crd/boats.sea.example.com --timeout=10s", [/condition met$/m]),
    k("api-resources --api-group=sea.example.com", [/^boats +bt +sea\.example\.com\/v1 +true +Boat$/m]),
    k("explain boat.spec", [/^GROUP: +sea\.example\.com$/m, /oars\s+<integer> -required-/, /How many move it\./]),
    k("explain boats --recursive", [/^ {2}spec\s+<Object>$/m, /^ {4}oars\s+<integer> -required-$/m]),
    k("explain boats --output=plaintext-openapiv2", [/^KIND: +Boat$/m, /Something that swims/]),
    k("apply -f -", [/^boat\.sea\.example\.com\/ann created$/m], { input: boat("3") }),
    fails("apply -f -", [/spec\.oars: Invalid value: 0: spec\.oars in body should be greater than or equal to 1/], {
      input: boat("0"),
    }),
    fails("apply -f -", [/unknown field "spec\.sails"|spec\.sails: field not declared in schema/], {
      input: boat("3, sails: 1"),
    }),
    k("get bt -n ko", [/^NAME +OARS$/m, /^ann +3$/m]),
    k("get bt -n ko -o wide", [/^NAME +OARS +HOME$/m, /^ann +3 +Hamburg$/m]),
    k("get boats -n ko --field-selector spec.home=Hamburg -o name", [/^boat\.sea\.example\.com\/ann$/m]),
    k("scale bt/ann -n ko --replicas=5", [/^boat\.sea\.example\.com\/ann scaled$/m]),
    k("get bt ann -n ko --subresource=scale -o jsonpath={.spec.replicas}", [/^5$/]),
    k(`patch bt ann -n ko --subresource=status --type=merge -p '{"status":{"phase":"Afloat"}}'`, [/patched$/m]),
    k("wait -n ko --for=jsonpath={.status.phase}=Afloat bt/ann --timeout=10s", [/condition met$/m]),
    k("describe bt ann -n ko", [/^Kind: +Boat$/m, /Oars: +5/, /Phase: +Afloat/]),
    k("get all -n ko", [/^boat\.sea\.example\.com\/ann /m]),
    k("edit bt ann -n ko", [/edited$/m], { env: { KUBE_EDITOR: "sed -i s/Hamburg/Kiel/" } }),
    k("edit bt ann -n ko --subresource=status", [/edited$/m], { env: { KUBE_EDITOR: "sed -i s/Afloat/Sunk/" } }),
    k("get boats.v1.sea.example.com ann -n ko -o jsonpath={.spec.home}/{.status.phase}", [/^Kiel\/Sunk$/]),
    fails(`patch bt ann -n ko -p '{"spec":{"oars":4}}'`, [/application\/strategic-merge-patch\+json is not supported/]),
    k("delete bt ann -n ko", [/^boat\.sea\.example\.com "ann" deleted/m]),
    k("delete crd boats.sea.example.com", [/deleted/]),
    fails("get boats -n ko", [/Unable to list "sea\.example\.com\/v1, Resource=boats": the server could not find/]),
  ],

  explain: [
    k("explain pod --recursive", [/^ {2}spec\s+<PodSpec>$/m, /initialDelaySeconds/]),
    k("explain httproutes.spec.rules.matches", [/^GROUP: +gateway\.networking\.k8s\.io$/m, /path\s+<Object>/]),
    k("explain cronjob.spec.schedule", [/^FIELD: schedule <string>$/m]),
    k("explain events --api-version=events.k8s.io/v1", [/^GROUP: +events\.k8s\.io$/m]),
    fails("explain pod.spec.nothing", [/field "nothing" does not exist/]),
    fails("explain nothing", [/the server doesn't have a resource type "nothing"/]),
    k("api-resources -o wide --categories=all", [
      /VERBS +CATEGORIES$/m,
      /^pods +po +v1 +true +Pod +create,delete,deletecollection,get,list,patch,update,watch +all$/m,
    ]),
    k("api-resources --verbs=list,get --sort-by=name", [/^apiservices /m]),
  ],

  "get: each output": [
    k("create cm one -n ko --from-literal=n=2"),
    k("create cm two -n ko --from-literal=n=1"),
    k("label cm one -n ko tier=a"),
    k("get cm -n ko -L tier", [/^NAME +DATA +AGE +TIER$/m, /^one +1 +\S+ +a$/m]),
    k("get cm one -n ko -o yaml", [/^ {2}"n": "2"$/m]),
    k("get cm one -n ko -o yaml --show-managed-fields", [/f:metadata/]),
    k("get cm one two -n ko -o name", [/^configmap\/one$/m, /^configmap\/two$/m]),
    k("get cm/one svc -n ko -o name", [], { code: 1 }),
    k("get cm/one cm/two -n ko", [/^configmap\/one +1|^one +1/m]),
    k("get cm one -n ko -o jsonpath-as-json={.data}", [/"n": "2"/]),
    k("get cm -n ko '-o=jsonpath={range .items[*]}{.metadata.name} {end}'", [/one two/]),
    k("get cm one -n ko -o go-template={{.data.n}}", [/^2$/]),
    k("get cm one two -n ko -o custom-columns=N:.data.n --no-headers", [/^2\n1$/m]),
    k("get cm one two -n ko --sort-by=.data.n -o custom-columns=N:.metadata.name --no-headers", [/^two\none$/m]),
    k("get cm -n ko -l 'tier in (a,b),tier!=c' -o name", [/^configmap\/one\s*$/]),
    k("get cm -n ko --field-selector metadata.name!=one,metadata.name!=two -o name", [
      /^configmap\/kube-root-ca\.crt\s*$/,
    ]),
    fails("get cm -n ko --field-selector data.n=1", [
      /"data\.n" is not a known field selector: only "metadata\.name", "metadata\.namespace"/,
    ]),
    fails("get cm -n ko -l 'a in b'", [/unable to parse requirement|unexpected/]),
    k("get clusterroles --chunk-size=5 -o name", [/\/view$/m, /\/cluster-admin$/m]),
    k("get cm -A --no-headers", [/^ko +one /m]),
    k("get nothing-here,cm -n ko --ignore-not-found", [], { code: 1 }),
    k("get cm none -n ko --ignore-not-found", [/^$/]),
    k("get --raw /api/v1/namespaces/ko/configmaps/one", [/"kind":"ConfigMap"/]),
    fails("get --raw /api/v1/nothing", [/NotFound|could not find the requested resource/]),
    k("get cm one -n ko -o kyaml", [/kind: "ConfigMap"/]),
    k(
      "get ns,nodes,sc,pc,crd,csr,pv,apiservices,ingressclasses,clusterrolebindings",
      [/^namespace\/ko /m, /^node\//m],
      {
        err: [],
      },
    ),
    k("get apiservices v1.apps", [/^NAME +SERVICE +AVAILABLE +AGE$/m, /^v1\.apps +Local +True +/m]),
    k("get leases -n kube-node-lease", [/^NAME +HOLDER +AGE$/m]),
    k(
      "get deploy,sts,ds,rs,rc,jobs,cj,hpa,pdb,netpol,ing,svc,ep,endpointslices,limits,quota,sa,roles,rolebindings,pvc -A",
      [/service\/kubernetes +ClusterIP/],
      { err: [] },
    ),
    k("get flowschemas,prioritylevelconfigurations,servicecidrs,ipaddresses,csidrivers,csinodes,runtimeclasses", [
      /servicecidr\.networking\.k8s\.io\/kubernetes/,
    ]),
  ],

  "describe: each kind": [
    k("describe cm one -n ko", [/^Data$/m, /^n:$/m]),
    k("describe sa default -n ko", [/^Image pull secrets:/m]),
    k("describe ns ko", [/^No resource quota\.$/m, /^No LimitRange resource\.$/m]),
    k("describe svc kubernetes -n default", [/^Endpoints: +\S+:6443/m]),
    k("describe endpointslices -n default", [/^AddressType: +IPv4$/m]),
    k("describe clusterrolebinding cluster-admin", [/^ {2}Group +system:masters/m]),
    k("describe apiservice v1.apps", [/Local APIServices are always available/]),
    k("describe crd gateways.gateway.networking.k8s.io", [/^Kind: +CustomResourceDefinition$/m]),
    k("describe priorityclass system-node-critical", [/^Value: +2000001000$/m]),
    k("describe ingressclass fairlead", [/^Controller:/m]),
    k("describe quota,pdb,hpa,cj,job,sts,ds,netpol,limits,pvc -n kc", [
      /^Name: +q$/m,
      /^Min available: +1$/m,
      /^Schedule: +\*\/5/m,
    ]),
    k("describe secret g -n kc", [/^Type: +example\.com\/own$/m, /^a: +1 bytes?$/m]),
    k("describe role r -n kc", [/^ {2}pods +\[\] +\[one\] +\[get list\]$/m]),
    k("describe servicecidr kubernetes", [/^CIDRs: +/m]),
    fails("describe pod nope -n ko", [/pods "nope" not found/]),
  ],
};
