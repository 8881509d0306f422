from diffusion.cli.main import main

raise SystemExit(main())
