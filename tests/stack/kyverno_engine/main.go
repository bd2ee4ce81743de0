// Kyverno's own engine for MutatingPolicies behind a webhook: without its controllers, which write the webhook's
// configuration and reports, and which need an image. Each request is answered as Kyverno's handler does.
//
//	kyverno_engine -kubeconfig FILE -certificate FILE -key FILE POLICY...
//
// It prints its address, and goes on until it is killed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/kyverno/api/api/policies.kyverno.io/v1beta1"
	"github.com/kyverno/kyverno/pkg/cel/engine"
	"github.com/kyverno/kyverno/pkg/cel/libs"
	"github.com/kyverno/kyverno/pkg/cel/matching"
	"github.com/kyverno/kyverno/pkg/cel/policies/mpol/compiler"
	mpol "github.com/kyverno/kyverno/pkg/cel/policies/mpol/engine"
	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
	admission "k8s.io/api/admission/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

func main() {
	log.SetFlags(0)
	// Libraries have put flags of their own into the usual set.
	flags := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "the cluster whose namespaces and schema count")
	certificate := flags.String("certificate", "", "what the webhook shows")
	key := flags.String("key", "", "its key")
	flags.Parse(os.Args[1:])
	policies, err := read(flags.Args())
	if err != nil {
		log.Fatal(err)
	}
	handler, err := engineOf(*kubeconfig, policies)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.ServeTLS(listener, handler, *certificate, *key))
}

func read(files []string) ([]v1beta1.MutatingPolicyLike, error) {
	var policies []v1beta1.MutatingPolicyLike
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		policy := &v1beta1.MutatingPolicy{}
		if err := yaml.UnmarshalStrict(text, policy); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		policies = append(policies, policy)
	}
	return policies, nil
}

type handler struct {
	engine mpol.Engine
}

func engineOf(kubeconfig string, policies []v1beta1.MutatingPolicyLike) (*handler, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	libraries := libs.NewFakeContextProvider()
	provider, err := mpol.NewProvider(compiler.NewCompiler(), policies, nil, libraries)
	if err != nil {
		return nil, err
	}
	namespaceOf := func(name string) *core.Namespace {
		namespace, err := client.CoreV1().Namespaces().Get(context.Background(), name, meta.GetOptions{})
		if err != nil {
			return nil
		}
		return namespace
	}
	types := compiler.NewStaticTypeConverterManager(client.Discovery().OpenAPIV3())
	return &handler{mpol.NewEngine(provider, namespaceOf, matching.NewMatcher(), types, libraries)}, nil
}

func (h *handler) ServeHTTP(writer http.ResponseWriter, asked *http.Request) {
	body, err := io.ReadAll(asked.Body)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	review := &admission.AdmissionReview{}
	if err := json.Unmarshal(body, review); err != nil || review.Request == nil {
		http.Error(writer, "no AdmissionReview", http.StatusBadRequest)
		return
	}
	review.Response, err = h.answer(asked.Context(), review.Request)
	if err != nil {
		review.Response = &admission.AdmissionResponse{Result: &meta.Status{Message: err.Error()}}
	}
	review.Response.UID = review.Request.UID
	review.Request = nil
	writer.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(writer).Encode(review); err != nil {
		log.Print(err)
	}
}

func (h *handler) answer(asking context.Context, request *admission.AdmissionRequest) (*admission.AdmissionResponse, error) {
	found, err := h.engine.Handle(asking, engine.RequestFromAdmission(nil, *request), mpol.MatchNames())
	if err != nil {
		return nil, err
	}
	for _, policy := range found.Policies {
		for _, rule := range policy.Rules {
			if rule.Status() == engineapi.RuleStatusError {
				log.Printf("%s: %s", policy.Policy.GetName(), rule.Message())
				if policy.Policy.GetFailurePolicy(false) == "Fail" {
					return nil, errors.New(rule.Message())
				}
			}
		}
	}
	answer := &admission.AdmissionResponse{Allowed: true}
	if found.PatchedResource == nil {
		return answer, nil
	}
	answer.Patch, err = json.Marshal(found.GetPatches())
	if err != nil {
		return nil, err
	}
	kind := admission.PatchTypeJSONPatch
	answer.PatchType = &kind
	return answer, nil
}
