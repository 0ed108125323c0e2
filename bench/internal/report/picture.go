package report

import (
	"bytes"
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/peer"
)

// WritePicture writes, as SVG, CPU a request by body size beside throughput by concurrency.
// Bars reach from the least to the greatest of the rounds.
func (r *Results) WritePicture(w io.Writer) error {
	bySize := newPlot(fmt.Sprintf("CPU a request, concurrency %d", High), "size of the JSON body", "µs, log scale")
	bySize.X.Tick.Marker = ticks(AllSizes(), func(size int) string { return fleet.Body{Bytes: size}.String() })
	bySize.Y.Scale, bySize.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	byConcurrency := newPlot("Throughput, 2 KB", "requests at a time", "requests a second")
	byConcurrency.X.Tick.Marker = ticks(Concurrencies(), func(c int) string { return fmt.Sprint(c) })
	byConcurrency.Y.Min = 0
	for _, server := range r.Callers() {
		var cpu, throughputs curve
		for _, size := range AllSizes() {
			cpu.add(size, spread(r.cpu(server, size)))
		}
		for _, c := range Concurrencies() {
			throughputs.add(c, spread(r.samples(server, Sizes()[0], fleet.Declared, c, throughput)))
		}
		if err := cpu.draw(bySize, server); err != nil {
			return err
		}
		if err := throughputs.draw(byConcurrency, server); err != nil {
			return err
		}
	}
	bySize.Legend.Top, bySize.Legend.Left = true, true
	byConcurrency.Legend = plot.NewLegend() // the other plot's is for both

	canvas := vgsvg.New(26*vg.Centimeter, 11*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Centimeter, PadTop: 8, PadBottom: 8, PadLeft: 8, PadRight: 8}
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Path())
	for i, p := range []*plot.Plot{bySize, byConcurrency} {
		p.Draw(tiles.At(whole, i, 0))
	}
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Few readers have the font that the text was measured with.
	_, err := w.Write(bytes.ReplaceAll(svg.Bytes(), []byte("Liberation Sans"), []byte("Liberation Sans,Arial,Helvetica,sans-serif")))
	return err
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale = plot.LogScale{}
	p.Title.Padding = 8
	p.Legend.Padding, p.Legend.ThumbnailWidth = 2, 18
	for _, f := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		f.Variant = "Sans"
	}
	p.Add(plotter.NewGrid())
	return p
}

func ticks(at []int, label func(int) string) plot.ConstantTicks {
	var marks plot.ConstantTicks
	for _, v := range at {
		marks = append(marks, plot.Tick{Value: float64(v), Label: label(v)})
	}
	return marks
}

// curve is one server's line with its bars.
type curve struct {
	plotter.XYs
	plotter.YErrors
}

func (c *curve) add(x int, s Spread) {
	if s.Count == 0 {
		return
	}
	c.XYs = append(c.XYs, plotter.XY{X: float64(x), Y: s.Median})
	c.YErrors = append(c.YErrors, struct{ Low, High float64 }{s.Median - s.Min, s.Max - s.Median})
}

func (c *curve) draw(p *plot.Plot, server string) error {
	if len(c.XYs) == 0 {
		return nil
	}
	line, points, err := plotter.NewLinePoints(c.XYs)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(c)
	if err != nil {
		return err
	}
	line.Color, line.Width = colorOf(server), vg.Points(1.2)
	if server == Gateway {
		line.Width = vg.Points(2.4)
	}
	points.Color, points.Shape, points.Radius = line.Color, draw.CircleGlyph{}, 2.2
	bars.Color = line.Color
	p.Add(line, points, bars)
	p.Legend.Add(server, line, points)
	return nil
}

// colorOf returns a server's color. Color-blind readers can tell the colors apart too: the palette is Okabe
// and Ito's.
func colorOf(server string) color.Color {
	switch server {
	case Gateway:
		return color.RGBA{0x00, 0x72, 0xb2, 0xff}
	case Before:
		return color.RGBA{0x56, 0xb4, 0xe9, 0xff}
	case peer.FloorA:
		return color.RGBA{0xbb, 0xbb, 0xbb, 0xff}
	case peer.FloorB:
		return color.RGBA{0x88, 0x88, 0x88, 0xff}
	case peer.FloorC:
		return color.RGBA{0x22, 0x22, 0x22, 0xff}
	case peer.Protojson:
		return color.RGBA{0xe6, 0x9f, 0x00, 0xff}
	default:
		return color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	}
}
