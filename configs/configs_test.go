package configs_test

import (
	"testing"

	"bulkhead/backend/databackend"
	"bulkhead/configs"
)

func TestTheSampleTemplateIsValid(t *testing.T) {
	t.Parallel()
	template, err := databackend.ParseTemplate("host-metrics.yaml", configs.HostMetrics)
	if err != nil {
		t.Fatal(err)
	}
	if len(template.Tables) != 1 || template.Tables[0].Name != "metrics" {
		t.Errorf("got %+v", template)
	}
}
