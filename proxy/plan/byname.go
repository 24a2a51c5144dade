package plan

import (
	"fmt"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/route"
)

// nobody is a table without a host.
var nobody = func() *Routes {
	table, err := route.Compile(&config.RouteTable{})
	if err != nil {
		panic(fmt.Sprintf("an empty table must compile: %v", err))
	}
	return &Routes{Table: table}
}()

// ByName is the destination of connections to a port of unknown addresses, where the policy lets them go by the host that they name.
// Where no host is registered at that port, it takes none.
func (p *Plan) ByName(port uint16) *Destination {
	at := config.CatchAll(port)
	if d := p.outbound[at]; d != nil && d.ByName {
		return d
	}
	return &Destination{Address: at, Routes: nobody, AccessLog: p.Config.AccessLog, ByName: true, plan: p}
}
