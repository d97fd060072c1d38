// Judges of GitOps tools, as one program: what Argo CD, kstatus and Flux make of resources, by their own code.
//
// One JSON document comes in on standard input, one goes out: an answer for each resource that is asked about.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Asked is what comes in.
type Asked struct {
	// Argo holds scripts by `group_Kind`, as the keys of argocd-cm end.
	Argo map[string]string `json:"argo"`
	// Flux holds a Kustomization's healthCheckExprs.
	Flux []kustomize.CustomHealthCheck `json:"flux"`
	// Resources are asked about one by one; Desired is what Git says of it, where drift is asked about.
	Resources []struct {
		Live    json.RawMessage `json:"live"`
		Desired json.RawMessage `json:"desired"`
	} `json:"resources"`
}

// Said is what one tool makes of a resource.
type Said struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// Judged is what all of them make of it.
type Judged struct {
	Argo    Said   `json:"argo"`
	Kstatus Said   `json:"kstatus"`
	Flux    Said   `json:"flux"`
	Drift   string `json:"drift"`
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	var asked Asked
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	overrides := lua.ResourceHealthOverrides{}
	for key, script := range asked.Argo {
		overrides[strings.Replace(key, "_", "/", 1)] = v1alpha1.ResourceOverride{HealthLua: script}
	}
	evaluators := map[string]*cel.StatusEvaluator{}
	for _, check := range asked.Flux {
		made, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return fmt.Errorf("healthCheckExprs of %s: %w", check.Kind, err)
		}
		evaluators[check.APIVersion+"/"+check.Kind] = made
	}
	judged := []Judged{}
	for _, each := range asked.Resources {
		live, err := object(each.Live)
		if err != nil {
			return err
		}
		one, err := judge(live, each.Desired, overrides, evaluators)
		if err != nil {
			return fmt.Errorf("%s %s: %w", live.GetKind(), live.GetName(), err)
		}
		judged = append(judged, one)
	}
	return json.NewEncoder(out).Encode(judged)
}

func judge(live *unstructured.Unstructured, desired json.RawMessage, overrides lua.ResourceHealthOverrides,
	evaluators map[string]*cel.StatusEvaluator) (judged Judged, err error) {
	// The entry that Argo CD's controller calls: a kind without a check has no health at all.
	argo, err := health.GetResourceHealth(live, overrides)
	if err != nil {
		return judged, fmt.Errorf("Argo CD: %w", err)
	}
	if argo != nil {
		judged.Argo = Said{string(argo.Status), argo.Message}
	}
	computed, err := status.Compute(live)
	if err != nil {
		return judged, fmt.Errorf("kstatus: %w", err)
	}
	judged.Kstatus = Said{string(computed.Status), computed.Message}
	if evaluator := evaluators[live.GetAPIVersion()+"/"+live.GetKind()]; evaluator != nil {
		flux, err := evaluator.Evaluate(context.Background(), live)
		if err != nil {
			return judged, fmt.Errorf("Flux: %w", err)
		}
		judged.Flux = Said{string(flux.Status), flux.Message}
	}
	if len(desired) > 0 {
		judged.Drift, err = drift(live, desired)
	}
	return judged, err
}

// drift is what Argo CD would show of the difference between Git and the cluster; empty where there is none.
func drift(live *unstructured.Unstructured, desired json.RawMessage) (string, error) {
	git, err := object(desired)
	if err != nil {
		return "", err
	}
	// Its default since 3.0: `resource.compareoptions: ignoreResourceStatusField: all`.
	all := map[string]v1alpha1.ResourceOverride{"*/*": {IgnoreDifferences: v1alpha1.OverrideIgnoreDiff{JSONPointers: []string{"/status"}}}}
	normalizer, err := normalizers.NewIgnoreNormalizer(nil, all, normalizers.IgnoreNormalizerOpts{})
	if err != nil {
		return "", err
	}
	found, err := diff.Diff(git, live, diff.WithNormalizer(normalizer))
	if err != nil || !found.Modified {
		return "", err
	}
	return fmt.Sprintf("%s\nis to be\n%s", found.NormalizedLive, found.PredictedLive), nil
}

// object decodes numbers as Kubernetes clients do: whole ones are int64.
func object(raw json.RawMessage) (*unstructured.Unstructured, error) {
	made := &unstructured.Unstructured{}
	return made, made.UnmarshalJSON(bytes.TrimSpace(raw))
}
