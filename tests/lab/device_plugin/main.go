// A device plugin: it offers a node's devices to the kubelet, and names those that a container gets by CDI.
//
// Which devices there are stands in a file, `[{"id": "gpu0", "path": "/dev/nvidia0"}]`, that is read anew every half
// second: what appears in it is offered, what is gone from it is withdrawn, and one whose path is gone is unhealthy.
// What a container with a device is given besides (more device nodes, a driver's libraries) is CDI's affair: a device
// is called `<resource>=<id>` there, and the container runtime looks it up in its own folder of specifications.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const look = 500 * time.Millisecond

type device struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

type plugin struct {
	api.UnimplementedDevicePluginServer
	resource string
	file     string
}

// devices reads the file; one that is not there, or is just being written, offers nothing.
func (p *plugin) devices() []*api.Device {
	text, err := os.ReadFile(p.file)
	if err != nil {
		return nil
	}
	var named []device
	if err := json.Unmarshal(text, &named); err != nil {
		log.Printf("%s: %v", p.file, err)
		return nil
	}
	var found []*api.Device
	for _, one := range named {
		health := api.Healthy
		if _, err := os.Stat(one.Path); err != nil {
			health = api.Unhealthy
		}
		found = append(found, &api.Device{ID: one.ID, Health: health})
	}
	return found
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	var told []*api.Device
	for first := true; ; first = false {
		if now := p.devices(); first || !reflect.DeepEqual(now, told) {
			if err := stream.Send(&api.ListAndWatchResponse{Devices: now}); err != nil {
				return err
			}
			log.Printf("%s: %d devices", p.resource, len(now))
			told = now
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-time.After(look):
		}
	}
}

func (p *plugin) Allocate(_ context.Context, asked *api.AllocateRequest) (*api.AllocateResponse, error) {
	answer := &api.AllocateResponse{}
	for _, container := range asked.ContainerRequests {
		given := &api.ContainerAllocateResponse{}
		for _, id := range container.DevicesIds {
			given.CdiDevices = append(given.CdiDevices, &api.CDIDevice{Name: p.resource + "=" + id})
		}
		log.Printf("%s: %v", p.resource, container.DevicesIds)
		answer.ContainerResponses = append(answer.ContainerResponses, given)
	}
	return answer, nil
}

// register tells the kubelet, once there are devices to offer, of the socket that this listens on.
func (p *plugin) register(folder string, endpoint string) error {
	for p.devices() == nil {
		time.Sleep(look)
	}
	target := "unix://" + filepath.Join(folder, "kubelet.sock")
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	limit, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	_, err = api.NewRegistrationClient(connection).Register(limit, &api.RegisterRequest{
		Version: api.Version, Endpoint: endpoint, ResourceName: p.resource,
	}, grpc.WaitForReady(true))
	return err
}

func main() {
	resource := flag.String("resource", "nvidia.com/gpu", "what the devices are called in a Pod's limits")
	folder := flag.String("plugins", "/var/lib/kubelet/device-plugins", "the kubelet's folder of device plugins")
	file := flag.String("devices", "", "the JSON file that names the devices")
	flag.Parse()
	offered := &plugin{resource: *resource, file: *file}
	const endpoint = "assay-lab.sock"
	// The kubelet empties the folder when it starts: it is there once its own socket is.
	for {
		if _, err := os.Stat(filepath.Join(*folder, "kubelet.sock")); err == nil {
			break
		}
		time.Sleep(look)
	}
	listener, err := net.Listen("unix", filepath.Join(*folder, endpoint))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, offered)
	go func() {
		if err := offered.register(*folder, endpoint); err != nil {
			log.Fatalf("the kubelet does not take %s: %v", *resource, err)
		}
	}()
	log.Fatal(server.Serve(listener))
}
