package pipelines

import "go.yaml.in/yaml/v3"

func scalarNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: 1, Column: 1}
}
