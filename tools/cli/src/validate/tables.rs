//! What `mote validate` found, as text.

use crate::print::{heading, table, verdict};
use mote_tools::validate::{Distribution, FloatComparison, Layers, Outcome, Space, ToData};

/// The backends as a table.
pub fn backends(outcomes: &[Outcome]) -> String {
    let cells = |outcome: &Outcome| {
        let result = match (&outcome.why, &outcome.first_divergence) {
            (Some(why), _) if !outcome.available => format!("not run: {why}"),
            (Some(why), _) => format!("{}: {why}", verdict(false)),
            (None, Some(first)) => {
                format!(
                    "{}: seed {}, step {}: {}",
                    verdict(false),
                    first.seed,
                    first.step,
                    first.operator
                )
            }
            (None, None) => verdict(true),
        };
        vec![
            outcome.name.clone(),
            outcome.images.to_string(),
            outcome.steps.to_string(),
            outcome.mismatches.to_string(),
            format!("{:.1}", outcome.seconds),
            outcome.digest.clone().unwrap_or_default(),
            result,
        ]
    };
    let head = ["backend", "images", "steps", "mismatches", "seconds", "digest", ""]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(outcomes.iter().map(cells)).collect();
    let mut text = format!("{}\n{}", heading("Same bits"), table(&rows));
    text += "  (a digest covers every step of the images that its backend made)\n";
    let mut helps: Vec<&str> = Vec::new();
    for help in outcomes.iter().filter_map(|outcome| outcome.help.as_deref()) {
        if !helps.contains(&help) {
            helps.push(help);
            text += &format!("  to run what was not: {help}\n");
        }
    }
    text
}

/// The distances of distributions as tables.
pub fn distances(spread: &Distribution) -> String {
    let distance = |v: f64| format!("{v:.4}");
    let row = |space: &Space, values: &[f64]| {
        let names = [space.name.to_owned(), space.dimensions.to_string()];
        names.into_iter().chain(values.iter().copied().map(distance)).collect()
    };
    let head = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut rows = vec![head(&["space", "dimensions", "model", "noise floor"])];
    rows.extend(
        spread
            .spaces
            .iter()
            .map(|space| row(space, &[space.model, space.floor])),
    );
    let mut text = format!(
        "\n{}\n  from {} images of the model ({}) to as many of the float network ({}) from other seeds; the floor is the float network's own\n{}",
        heading("Fréchet distances"),
        spread.images,
        spread.backend,
        spread.network,
        table(&rows)
    );
    let real: Vec<(&Space, &ToData)> = spread
        .spaces
        .iter()
        .filter_map(|space| Some((space, space.data.as_ref()?)))
        .collect();
    if let Some((_, first)) = real.first() {
        let mut rows = vec![head(&["space", "dimensions", "model", "float network", "noise floor"])];
        rows.extend(
            real.iter()
                .map(|(space, data)| row(space, &[data.model, data.float, data.floor])),
        );
        text += &format!(
            "\n{}\n  from the same images to {} of the data; the floor is that of as many others of the data\n{}",
            heading("Fréchet distances to the data"),
            first.images,
            table(&rows)
        );
    }
    text
}

/// The distance from the float network, step by step, as a table.
pub fn quality(float: &FloatComparison, least: Option<f64>, close: bool) -> String {
    let limit = least.map_or(String::new(), |least| {
        format!("  (at least {least} dB asked for: {})", verdict(close))
    });
    let against = match float.network.as_str() {
        "cpu" => "Against the float network".to_owned(),
        network => format!("Against the float network on {network}"),
    };
    let mut rows = vec![
        ["step", "timestep", "output SQNR dB", "state PSNR dB", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (i, t) in float.timesteps.iter().enumerate() {
        let (eps, state) = (float.eps_sqnr_db_by_step[i], float.state_psnr_db_by_step[i]);
        rows.push(vec![
            i.to_string(),
            t.to_string(),
            format!("{eps:.1}"),
            format!("{state:.1}"),
            String::new(),
        ]);
    }
    let not_finite = match float.not_finite {
        0 => String::new(),
        n => format!(
            "  {}: the float network's numbers are not finite in {n} images\n",
            verdict(false)
        ),
    };
    format!(
        "\n{}\n  x0 PSNR {:.2} dB mean, {:.2} dB 5th percentile, {:.2} dB worst (seed {}) of {} images{limit}\n{not_finite}{}",
        heading(&against),
        float.x0_psnr_db_mean,
        float.x0_psnr_db_p5,
        float.x0_psnr_db_min,
        float.worst_seed,
        float.images,
        table(&rows)
    )
}

/// The distance from the float network, operator by operator, as a table.
pub fn layers(layers: &Layers) -> String {
    let mut rows = vec![
        ["operator", "output", "SQNR dB", "worst step", "", "PSNR dB", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for layer in &layers.operators {
        let worst = layers.worst.as_ref() == Some(&layer.name);
        rows.push(vec![
            format!("{} ({})", layer.name, layer.kind),
            layer.dtype.to_owned(),
            format!("{:.1}", layer.sqnr_db_mean),
            layer.worst_step.to_string(),
            format!("{:.1}", layer.sqnr_db_worst),
            format!("{:.1}", layer.psnr_db),
            if worst { "<- worst" } else { "" }.to_owned(),
        ]);
    }
    let left_out = match layers.without_counterpart {
        0 => String::new(),
        n => format!("  {n} operators have no counterpart in the float network\n"),
    };
    format!(
        "\n{}\n  outputs of {} runs beside the float network's in the same states: errors add up from the first operator of a step to the last\n{}{left_out}",
        heading("Operator by operator"),
        layers.images,
        table(&rows)
    )
}
